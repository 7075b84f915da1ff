package io.expertatlas.runtime.checkpoint;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.TensorData;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;

/**
 * A tensor in a file.
 *
 * @param name in the file
 * @param type of the elements
 * @param shape of the tensor
 * @param path of the file, for messages
 * @param file the bytes
 * @param offset of the first element in the file
 */
record StoredTensor(
    String name, DType type, List<Long> shape, Path path, MappedFile file, long offset)
    implements TensorData {
  @Override
  public void read(long firstElement, ByteBuffer into) {
    try {
      file.read(offset + firstElement * type.bytes(), into);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read tensor %s of %s: %s".formatted(name, path, e.getMessage()), e);
    }
  }
}
