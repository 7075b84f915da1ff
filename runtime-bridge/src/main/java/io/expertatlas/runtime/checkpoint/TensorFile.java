package io.expertatlas.runtime.checkpoint;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.CheckpointException;
import io.expertatlas.runtime.WeightSource;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** A single safetensors file of F32 numbers. */
public final class TensorFile {
  private static final int PIECE = 1 << 16;

  private TensorFile() {}

  /**
   * A tensor to be written.
   *
   * @param name in the file
   * @param shape of the tensor
   * @param values row-major from position 0, as many as the shape says
   */
  public record Entry(String name, List<Long> shape, FloatBuffer values) {
    /** Checks that there are as many values as the shape says. */
    public Entry {
      shape = List.copyOf(shape);
      if (shape.stream().mapToLong(Long::longValue).reduce(1, Math::multiplyExact)
          != values.limit()) {
        throw new IllegalArgumentException(
            "Invalid tensor %s: %s of %d numbers".formatted(name, shape, values.limit()));
      }
    }
  }

  /**
   * Writes tensors, in this order.
   *
   * @throws IOException if it cannot be written
   */
  public static void write(List<Entry> tensors, OutputStream out) throws IOException {
    ObjectNode header = new ObjectMapper().createObjectNode();
    header.putObject("__metadata__").put("format", "pt"); // as loaders expect it
    long at = 0;
    for (Entry tensor : tensors) {
      ObjectNode node = header.putObject(tensor.name());
      node.put("dtype", "F32");
      node.set("shape", new ObjectMapper().valueToTree(tensor.shape()));
      long end = at + (long) tensor.values().limit() * Float.BYTES;
      node.putArray("data_offsets").add(at).add(end);
      at = end;
    }

    byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
    byte[] padded = Arrays.copyOf(text, (text.length + 7) / 8 * 8);
    Arrays.fill(padded, text.length, padded.length, (byte) ' ');
    ByteBuffer bytes = ByteBuffer.allocate(PIECE * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    out.write(bytes.putLong(padded.length).array(), 0, Long.BYTES);
    out.write(padded);
    for (Entry tensor : tensors) {
      for (int first = 0; first < tensor.values().limit(); first += PIECE) {
        int count = Math.min(PIECE, tensor.values().limit() - first);
        bytes.clear();
        bytes.asFloatBuffer().put(tensor.values().slice(first, count));
        out.write(bytes.array(), 0, count * Float.BYTES);
      }
    }
  }

  /**
   * Opens a file.
   *
   * @throws CheckpointException if it is missing or broken; so does the source if it is asked for a
   *     tensor that is not there
   * @throws IOException if it cannot be read
   */
  public static WeightSource open(Path file) throws IOException {
    Map<String, StoredTensor> tensors = SafetensorsFile.read(file);
    return (name, shape) -> {
      StoredTensor found = tensors.get(name);
      List<Long> expected = Arrays.stream(shape).boxed().toList();
      if (found == null || !found.shape().equals(expected)) {
        throw new CheckpointException(
            "%s tensor %s in %s: %s, expected %s"
                .formatted(
                    found == null ? "Missing" : "Misshapen",
                    name,
                    file,
                    found == null ? "none" : found.shape(),
                    expected));
      }

      return found;
    };
  }
}
