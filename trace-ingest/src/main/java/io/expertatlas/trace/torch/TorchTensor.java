package io.expertatlas.trace.torch;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.HalfFloat;
import io.expertatlas.trace.input.InputBytes;
import io.expertatlas.trace.torch.Values.Bytes;
import io.expertatlas.trace.torch.Values.Dtype;
import io.expertatlas.trace.torch.Values.Storage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * A tensor of a torch file, or a numpy array in one: numbers that stay in the file until they are
 * read. Elements are counted in C order (the last index varies fastest), whatever their strides in
 * the file are. Not safe for several threads.
 */
public final class TorchTensor {
  /** A tensor may repeat elements (stride 0) up to this many; a larger one must hold them all. */
  private static final long MAX_REPEATED = 1 << 20;

  /** What a tensor whose elements do not lie in C order may span, to be held while it is read. */
  private static final long MAX_HELD_BYTES = 1 << 28;

  private static final int CHUNK = 1 << 16;

  private final TorchFile file;
  private final String member; // of the archive; empty: held
  private final byte[] held;
  private final long start; // byte of the first element of the storage
  private final TorchType type;
  private final ByteOrder order;
  private final long offset; // in elements
  private final long[] shape; // [axis]
  private final long[] strides; // [axis], in elements
  private final long count;
  private final long span; // elements from the first to the last in the storage

  private TorchTensor(
      TorchFile file,
      String member,
      byte[] held,
      long start,
      TorchType type,
      ByteOrder order,
      long offset,
      long[] shape,
      long[] strides,
      long count,
      long span) {
    this.file = file;
    this.member = member;
    this.held = held;
    this.start = start;
    this.type = type;
    this.order = order;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
    this.count = count;
    this.span = span;
  }

  static TorchTensor ofStorage(
      TorchFile file, Storage storage, long offset, long[] shape, long[] strides, String label) {
    long[] countAndSpan = check(storage.elements(), offset, shape, strides, label);
    return new TorchTensor(
        file,
        storage.member(),
        new byte[0],
        0,
        storage.type(),
        file.order(),
        offset,
        shape,
        strides,
        countAndSpan[0],
        countAndSpan[1]);
  }

  static TorchTensor ofArray(
      TorchFile file, Bytes bytes, Dtype dtype, long[] shape, boolean fortran, String label) {
    long[] strides = new long[shape.length];
    long stride = 1;
    for (int i = 0; i < shape.length; i++) {
      int axis = fortran ? i : shape.length - 1 - i;
      strides[axis] = stride;
      stride = saturated(stride, Math.max(1, shape[axis]));
    }

    long elements = bytes.length() / dtype.type.size();
    long[] countAndSpan = check(elements, 0, shape, strides, label);
    if (countAndSpan[0] * dtype.type.size() != bytes.length()) {
      throw new TraceFormatException(
          "Invalid torch file %s: an array of shape %s, %s, has %d bytes"
              .formatted(label, text(shape), dtype.type, bytes.length()));
    }

    return new TorchTensor(
        file,
        bytes.held() == null ? file.pickle() : "",
        bytes.held() == null ? new byte[0] : bytes.held(),
        bytes.offset(),
        dtype.type,
        dtype.order,
        0,
        shape,
        strides,
        countAndSpan[0],
        countAndSpan[1]);
  }

  private static long saturated(long a, long b) {
    return Math.multiplyHigh(a, b) == 0 && a * b >= 0 ? a * b : Long.MAX_VALUE;
  }

  /** Checks that every element lies in the storage. Returns their number and how far they reach. */
  private static long[] check(
      long elements, long offset, long[] shape, long[] strides, String label) {
    long count = 1;
    long last = 0;
    boolean empty = Arrays.stream(shape).anyMatch(length -> length == 0);
    for (int axis = 0; axis < shape.length && !empty; axis++) {
      count = saturated(count, shape[axis]);
      long reach = saturated(shape[axis] - 1, strides[axis]);
      last = last + reach < 0 ? Long.MAX_VALUE : last + reach;
    }

    boolean fits =
        empty
            ? offset >= 0 && offset <= elements
            : offset >= 0 && offset < elements && last < elements - offset;
    if (!fits) {
      throw new TraceFormatException(
          "Invalid torch file %s: a tensor of shape %s, strides %s and offset %d does not fit its storage of %d elements"
              .formatted(label, text(shape), text(strides), offset, elements));
    }

    if (!empty && count > Math.max(elements, MAX_REPEATED)) {
      throw new TraceFormatException(
          "Invalid torch file %s: a tensor of shape %s repeats the %d elements of its storage. Maybe save it with .contiguous()"
              .formatted(label, text(shape), elements));
    }

    return new long[] {empty ? 0 : count, empty ? 0 : last + 1};
  }

  private static String text(long[] axes) {
    return Arrays.stream(axes)
        .mapToObj(String::valueOf)
        .collect(Collectors.joining(", ", "(", axes.length == 1 ? ",)" : ")"));
  }

  /** Type of the elements. */
  public TorchType type() {
    return type;
  }

  /** Length of each axis. */
  public List<Long> shape() {
    return Arrays.stream(shape).boxed().toList();
  }

  /** Length of an axis. */
  public long size(int axis) {
    return shape[axis];
  }

  /** Number of elements: product of the axes. */
  public long count() {
    return count;
  }

  private boolean isInOrder() {
    long expected = 1;
    for (int axis = shape.length - 1; axis >= 0; axis--) {
      if (shape[axis] != 1 && strides[axis] != expected) {
        return false;
      }

      expected *= shape[axis];
    }

    return true;
  }

  /**
   * Reads elements {@code first} to {@code first + length - 1}, which must be whole numbers or
   * truth values (0 and 1).
   *
   * @throws TraceFormatException if they are not, or the file is broken
   */
  public void readIntegers(long first, int length, long[] into) {
    if (type.isFloating()) {
      throw new TraceFormatException(
          "Cannot read whole numbers from %s: a tensor of %s".formatted(file.path(), type));
    }

    read(first, length, (at, bytes, from) -> into[at] = integer(bytes, from));
  }

  /** Reads elements {@code first} to {@code first + length - 1} as floating-point numbers. */
  public void readFloats(long first, int length, float[] into) {
    read(
        first,
        length,
        (at, bytes, from) ->
            into[at] =
                switch (type) {
                  case FLOAT64 -> (float) bytes.getDouble(from);
                  case FLOAT32 -> bytes.getFloat(from);
                  case FLOAT16 -> HalfFloat.toFloat(bytes.getShort(from));
                  case BFLOAT16 -> Float.intBitsToFloat(bytes.getShort(from) << 16);
                  default -> (float) integer(bytes, from);
                });
  }

  private long integer(ByteBuffer bytes, int from) {
    return switch (type) {
      case INT64 -> bytes.getLong(from);
      case INT32 -> bytes.getInt(from);
      case UINT32 -> bytes.getInt(from) & 0xffffffffL;
      case INT16 -> bytes.getShort(from);
      case UINT16 -> bytes.getShort(from) & 0xffff;
      case INT8 -> bytes.get(from);
      case UINT8 -> bytes.get(from) & 0xff;
      case BOOL -> bytes.get(from) == 0 ? 0 : 1;
      default -> throw new IllegalStateException("No integers: " + type);
    };
  }

  private interface Sink {
    void accept(int at, ByteBuffer bytes, int from);
  }

  private void read(long first, int length, Sink sink) {
    Objects.checkFromIndexSize(first, length, count);
    try {
      if (isInOrder()) {
        readInOrder(first, length, sink);
      } else {
        readByPlace(first, length, sink);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read %s: %s".formatted(file.path(), e.getMessage()), e);
    }
  }

  private void readInOrder(long first, int length, Sink sink) throws IOException {
    int chunk = CHUNK / type.size();
    ByteBuffer bytes = ByteBuffer.allocate(Math.min(length, chunk) * type.size()).order(order);
    for (int done = 0; done < length; done += chunk) {
      int some = Math.min(chunk, length - done);
      bytes.clear().limit(some * type.size());
      fill(bytes, offset + first + done);
      for (int i = 0; i < some; i++) {
        sink.accept(done + i, bytes, i * type.size());
      }
    }
  }

  private void readByPlace(long first, int length, Sink sink) throws IOException {
    ByteBuffer region = file.region(this);
    for (int i = 0; i < length; i++) {
      long rest = first + i;
      long place = 0;
      for (int axis = shape.length - 1; axis >= 0; axis--) {
        place += rest % shape[axis] * strides[axis];
        rest /= shape[axis];
      }

      sink.accept(i, region, (int) place * type.size());
    }
  }

  /** The bytes from the first to the last element, to be read by place. */
  ByteBuffer readRegion() throws IOException {
    long size = span * type.size();
    if (size > MAX_HELD_BYTES) {
      throw new TraceFormatException(
          "Cannot read %s: %s does not lie in order and spans %d bytes, at most %d. Maybe save it with .contiguous()"
              .formatted(file.path(), this, size, MAX_HELD_BYTES));
    }

    ByteBuffer whole = ByteBuffer.allocate((int) size).order(order);
    fill(whole, offset);
    return whole;
  }

  private void fill(ByteBuffer into, long element) throws IOException {
    long from = start + element * type.size();
    if (member.isEmpty()) {
      into.put(held, (int) from, into.remaining()).flip();
      return;
    }

    InputBytes bytes = file.bytes(member);
    int wanted = into.remaining();
    if (bytes.read(from, into) < wanted) {
      throw new TraceFormatException(
          "Truncated torch file: %s ends within %s".formatted(file.path(), member));
    }
  }

  @Override
  public String toString() {
    return "a tensor %s of %s".formatted(text(shape), type);
  }
}
