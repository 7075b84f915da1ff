package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Tensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.ShortPointer;

/** A tensor, or a view of one, in memory outside the heap: F32, I32, or BF16 weights. */
final class CpuTensor implements Tensor {
  private final CpuMemory memory;
  private final DType type;
  private final List<Long> shape;
  private final long elements;
  private final long width;
  private final FloatPointer floats; // at the first element, if F32
  private final ShortPointer shorts; // at the first element, if BF16
  private final IntPointer ints; // at the first element, if I32
  private FloatBuffer floatBuffer;
  private IntBuffer intBuffer;

  CpuTensor(CpuMemory memory, DType type, List<Long> shape, Pointer base, long firstElement) {
    this.memory = memory;
    this.type = type;
    this.shape = List.copyOf(shape);
    this.elements = Tensor.super.elements();
    this.width = Tensor.super.width();
    this.floats = type == DType.F32 ? new FloatPointer(base).position(firstElement) : null;
    this.shorts = type == DType.BF16 ? new ShortPointer(base).position(firstElement) : null;
    this.ints = type == DType.I32 ? new IntPointer(base).position(firstElement) : null;
  }

  /** A tensor of this kind whose memory was not freed. */
  static CpuTensor of(Tensor tensor) {
    if (!(tensor instanceof CpuTensor own)) {
      throw new IllegalArgumentException("Invalid tensor for the CPU: %s".formatted(tensor));
    }

    own.memory.checkOpen();
    return own;
  }

  /** A view from an element on. */
  CpuTensor view(long firstElement, List<Long> viewShape) {
    Pointer base = type == DType.F32 ? floats : type == DType.BF16 ? shorts : ints;
    return new CpuTensor(memory, type, viewShape, base, base.position() + firstElement);
  }

  @Override
  public DType type() {
    return type;
  }

  @Override
  public List<Long> shape() {
    return shape;
  }

  @Override
  public long elements() {
    return elements;
  }

  @Override
  public long width() {
    return width;
  }

  /** Number of rows: the first axis. */
  int rowCount() {
    return Math.toIntExact(shape.get(0));
  }

  /** Where native code finds the first element of an F32 tensor. */
  FloatPointer pointer() {
    return floats;
  }

  /** Where native code finds an element. */
  FloatPointer pointer(long element) {
    return element == 0 ? floats : new FloatPointer(floats).position(floats.position() + element);
  }

  /** Where native code finds an element of a BF16 tensor. */
  ShortPointer shorts(long element) {
    return new ShortPointer(shorts).position(shorts.position() + element);
  }

  /** Copies as many elements of another BF16 tensor. */
  void copy(CpuTensor from) {
    ShortPointer source = from.shorts(0);
    shorts(0).put(source.limit(source.position() + elements));
  }

  /** The elements as a buffer, for F32 tensors below 2 GiB: activations, indices. */
  FloatBuffer floats() {
    if (floatBuffer == null) {
      checkSize();
      floatBuffer =
          elements == 0
              ? FloatBuffer.allocate(0) // an empty range has no address
              : new FloatPointer(floats)
                  .position(floats.position())
                  .limit(floats.position() + elements)
                  .asBuffer();
    }

    return floatBuffer;
  }

  /** The elements as a buffer of whole numbers. */
  IntBuffer ints() {
    if (intBuffer == null) {
      checkSize();
      intBuffer =
          elements == 0
              ? IntBuffer.allocate(0)
              : new IntPointer(ints)
                  .position(ints.position())
                  .limit(ints.position() + elements)
                  .asBuffer();
    }

    return intBuffer;
  }

  /** A copy of the whole numbers. */
  int[] toInts() {
    int[] values = new int[Math.toIntExact(elements)];
    ints().get(0, values);
    return values;
  }

  private void checkSize() {
    if (bytes() > Integer.MAX_VALUE) {
      throw new IllegalStateException(
          "Cannot use a tensor of %s %s row by row: %d bytes, at most 2^31 - 1"
              .formatted(type, shape, bytes()));
    }
  }

  /** Copies elements to the heap, widened; of tensors of any size. */
  void get(long first, float[] into, int count) {
    if (type == DType.BF16) {
      short[] values = new short[count];
      shorts(first).get(values, 0, count);
      Bf16.widen(values, into, count);
    } else if (bytes() <= Integer.MAX_VALUE) {
      floats().get((int) first, into, 0, count);
    } else {
      pointer(first).get(into, 0, count);
    }
  }

  /** Copies elements from the heap, rounded; to tensors of any size. */
  void put(long first, float[] from, int count) {
    if (type == DType.BF16) {
      short[] values = new short[count];
      Bf16.round(from, values, count);
      shorts(first).put(values, 0, count);
    } else if (bytes() <= Integer.MAX_VALUE) {
      floats().put((int) first, from, 0, count);
    } else {
      pointer(first).put(from, 0, count);
    }
  }

  @Override
  public String toString() {
    return type + " " + shape;
  }
}
