package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.HalfFloat;
import io.expertatlas.trace.input.InputBytes;
import io.expertatlas.trace.input.InputFiles;
import io.expertatlas.trace.input.ZipArchive;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Tensors in one file, by name: a safetensors file, or an {@code .npy} file in C order (one tensor,
 * without a name), or raw numbers. Any run of elements is read by positioned reads through one
 * buffer, so that memory does not depend on the file. Not safe for several threads.
 */
final class TensorFile implements Closeable {
  private static final int BUFFER_BYTES = 1 << 18;

  /** What the names of the arrays of an archive end with. */
  static final String NPY = ".npy";

  private final Path path;
  private final InputBytes bytes;
  private final ByteOrder order;
  private final SortedMap<String, Tensor> tensors;
  private ByteBuffer buffer = ByteBuffer.allocate(0);

  /** Where a tensor is: elements of a type from a byte on, row-major. */
  record Tensor(String name, Element type, List<Long> shape, long offset) {
    Tensor {
      shape = List.copyOf(shape);
    }

    long elements() {
      long product = 1;
      for (long axis : shape) {
        product = axis == 0 ? 0 : Math.multiplyExact(product, axis);
      }

      return shape.contains(0L) ? 0 : product;
    }
  }

  /** Types of elements. */
  enum Element {
    U8(1, false),
    I8(1, false),
    U16(2, false),
    I16(2, false),
    U32(4, false),
    I32(4, false),
    U64(8, false),
    I64(8, false),
    F16(2, true),
    BF16(2, true),
    F32(4, true),
    F64(8, true);

    final int size;
    final boolean floating;

    Element(int size, boolean floating) {
      this.size = size;
      this.floating = floating;
    }
  }

  private TensorFile(Path path, InputBytes bytes, ByteOrder order, Map<String, Tensor> tensors) {
    this.path = path;
    this.bytes = bytes;
    this.order = order;
    this.tensors = new TreeMap<>(tensors);
  }

  private interface Opener {
    TensorFile open(InputBytes bytes) throws IOException;
  }

  private static TensorFile open(Path path, Opener opener) {
    if (!Files.isRegularFile(path)) {
      throw new TraceFormatException(
          "Cannot read %s: %s".formatted(path, Files.exists(path) ? "not a file" : "no such file"));
    }

    InputBytes bytes = null;
    try {
      bytes = InputFiles.open(path);
      TensorFile file = opener.open(bytes);
      bytes = null;
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    } finally {
      if (bytes != null) {
        Closing.quietly(List.of(bytes));
      }
    }
  }

  /**
   * Opens a safetensors file.
   *
   * @throws TraceFormatException if it is none, or a tensor does not lie in it
   */
  static TensorFile openSafetensors(Path path) {
    return open(
        path,
        bytes ->
            new TensorFile(
                path, bytes, ByteOrder.LITTLE_ENDIAN, SafetensorsHeader.read(path, bytes)));
  }

  /**
   * Opens an {@code .npy} file of any number of axes, as the only tensor, named "".
   *
   * @param holds what it holds, for messages
   */
  static TensorFile openNpy(Path path, String holds) {
    return open(path, bytes -> npy(path, "", bytes, holds));
  }

  /**
   * Opens an array of an {@code .npz} archive, which must stay open meanwhile, as the only tensor,
   * named as the member is, without {@code .npy}.
   *
   * @param path of the archive, for messages
   */
  static TensorFile openMember(Path path, ZipArchive archive, String member, String holds)
      throws IOException {
    InputBytes bytes = archive.member(member);
    try {
      String name = member.substring(0, member.length() - NPY.length());
      return npy(path.resolve(ZipArchive.printable(member)), name, bytes, holds);
    } catch (IOException | RuntimeException e) {
      InputFiles.closeAfterFailure(bytes, e);
      throw e;
    }
  }

  private static TensorFile npy(Path path, String name, InputBytes bytes, String holds)
      throws IOException {
    NpyHeader header = NpyFile.readHeader(path, bytes);
    NpyType type =
        NpyType.parse(header.descr())
            .orElseThrow(
                () ->
                    new TraceFormatException(
                        "Cannot read %s from %s: its dtype is '%s' (%s), expected plain numbers"
                            .formatted(
                                holds, path, header.descr(), NpyType.describe(header.descr()))));
    if (header.fortranOrder() && header.shape().size() > 1) {
      throw new TraceFormatException(
          "Cannot read %s from %s: it is in Fortran order. Maybe save it with numpy.ascontiguousarray"
              .formatted(holds, path));
    }

    long expected;
    try {
      expected =
          Math.addExact(
              header.dataOffset(), Math.multiplyExact(header.elements(), (long) type.size()));
    } catch (ArithmeticException e) {
      throw new TraceFormatException(
          "Invalid .npy header in %s: shape %s is larger than any file"
              .formatted(path, header.shapeText()),
          e);
    }

    long found = bytes.sizeUpTo(bytes.isRandomAccess() ? Long.MAX_VALUE : expected + 1);
    if (found != expected) {
      throw new TraceFormatException(
          "%s .npy file: %s has %d bytes, its header announces %d (shape %s, dtype '%s')"
              .formatted(
                  found < expected ? "Truncated" : "Invalid",
                  path,
                  found,
                  expected,
                  header.shapeText(),
                  header.descr()));
    }

    char letter =
        switch (type.kind()) {
          case SIGNED -> 'I';
          case UNSIGNED -> 'U';
          case FLOATING -> 'F';
        };
    Element element = Element.valueOf("" + letter + 8 * type.size());
    Tensor tensor = new Tensor(name, element, header.shape(), header.dataOffset());
    return new TensorFile(path, bytes, type.order(), Map.of(name, tensor));
  }

  /** Opens little-endian numbers without a header; tensors are made by the caller. */
  static TensorFile openRaw(Path path) {
    return open(path, bytes -> new TensorFile(path, bytes, ByteOrder.LITTLE_ENDIAN, Map.of()));
  }

  Path path() {
    return path;
  }

  /** Bytes of the file. */
  long bytes() {
    try {
      return bytes.sizeUpTo(Long.MAX_VALUE);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  /** The tensors by name. */
  SortedMap<String, Tensor> tensors() {
    return Collections.unmodifiableSortedMap(tensors);
  }

  /** Reads elements {@code first} to {@code first + count - 1} as floating-point numbers. */
  void readFloats(Tensor tensor, long first, int count, float[] into, int at) {
    int size = tensor.type().size;
    for (int done = 0; done < count; ) {
      int some = fill(tensor, first + done, count - done);
      for (int i = 0; i < some; i++) {
        into[at + done + i] =
            switch (tensor.type()) {
              case F16 -> HalfFloat.toFloat(buffer.getShort(2 * i));
              case BF16 -> Float.intBitsToFloat(buffer.getShort(2 * i) << 16);
              case F32 -> buffer.getFloat(4 * i);
              case F64 -> (float) buffer.getDouble(8 * i);
              case I8, U8, I16, U16, I32, U32, I64, U64 -> integer(tensor.type(), size * i);
            };
      }

      done += some;
    }
  }

  /**
   * Reads elements as integers; unsigned 64-bit values keep their bits.
   *
   * @throws TraceFormatException if the elements are floating-point numbers
   */
  void readIntegers(Tensor tensor, long first, int count, long[] into, int at) {
    int size = tensor.type().size;
    for (int done = 0; done < count; ) {
      int some = fill(tensor, first + done, count - done);
      for (int i = 0; i < some; i++) {
        into[at + done + i] = integer(tensor.type(), size * i);
      }

      done += some;
    }
  }

  private long integer(Element type, int at) {
    return switch (type) {
      case I8 -> buffer.get(at);
      case U8 -> buffer.get(at) & 0xff;
      case I16 -> buffer.getShort(at);
      case U16 -> buffer.getShort(at) & 0xffff;
      case I32 -> buffer.getInt(at);
      case U32 -> buffer.getInt(at) & 0xffffffffL;
      case I64, U64 -> buffer.getLong(at);
      case F16, BF16, F32, F64 ->
          throw new TraceFormatException(
              "Cannot read integers from %s: it holds floating-point numbers".formatted(path));
    };
  }

  /** Fills the buffer; returns the elements in it. */
  private int fill(Tensor tensor, long first, int wanted) {
    java.util.Objects.checkFromIndexSize(first, wanted, tensor.elements());
    int size = tensor.type().size;
    if (buffer.capacity() == 0) {
      buffer = ByteBuffer.allocate(BUFFER_BYTES).order(order);
    }

    int some = Math.min(wanted, BUFFER_BYTES / size);
    long offset = tensor.offset() + first * size;
    buffer.clear().limit(some * size);
    try {
      if (bytes.read(offset, buffer) < some * size) {
        throw new TraceFormatException(
            "Truncated file: %s ends at byte %d while it is read"
                .formatted(path, offset + buffer.position()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read %s at byte %d: %s".formatted(path, offset, e.getMessage()), e);
    }

    return some;
  }

  @Override
  public void close() {
    Closing.quietly(List.of(bytes));
  }
}
