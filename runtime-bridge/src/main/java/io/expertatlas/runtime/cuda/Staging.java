package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.TensorData;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** Page-locked memory through which all values pass between host and GPU. */
final class Staging {
  private static final int BYTES = 32 << 20;
  private static final int FEW_BYTES = 16 << 10;

  private final CUstream stream;
  private final Kernels kernels;
  private final Pointer pinned = new Pointer();
  private final Address seen = new Address(); // the same memory, as kernels see it
  private final ByteBuffer buffer;
  private final ByteBuffer raw = ByteBuffer.allocateDirect(BYTES).order(ByteOrder.LITTLE_ENDIAN);

  Staging(CUstream stream, Kernels kernels) {
    this.stream = stream;
    this.kernels = kernels;
    long bytes = BYTES + Integer.BYTES; // the last four are 0
    check(JCudaDriver.cuMemHostAlloc(pinned, bytes, 0), "locking %d bytes".formatted(bytes));
    check(JCudaDriver.cuMemHostGetDevicePointer(seen, pinned, 0), "cuMemHostGetDevicePointer");
    pinned.getByteBuffer(0, bytes).putInt(BYTES, 0);
    this.buffer = pinned.getByteBuffer(0, BYTES).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Copies values to a tensor of floats, converted to its type. */
  void load(TensorData values, CudaTensor into) {
    int step = BYTES / 4;
    long elements = values.elements();
    for (long first = 0; first < elements; first += step) {
      int count = (int) Math.min(step, elements - first);
      raw.clear().limit(count * values.type().bytes());
      values.read(first, raw);
      raw.flip();
      buffer.clear();
      convert(values.type(), into.type(), count);
      send(into, first * into.type().bytes(), count * into.type().bytes());
    }
  }

  private void convert(DType from, DType to, int count) {
    if (from == to) {
      buffer.put(raw);
      return;
    }

    for (int i = 0; i < count; i++) {
      float value =
          switch (from) {
            case F32 -> raw.getFloat(i * 4);
            case BF16 -> Bits.fromBf16(raw.getShort(i * 2));
            case F16 -> Bits.fromF16(raw.getShort(i * 2));
            case I32 -> throw new IllegalArgumentException("Cannot load I32 as " + to);
          };
      if (to == DType.F32) {
        buffer.putFloat(i * 4, value);
      } else {
        buffer.putShort(i * 2, Bits.toBf16(value));
      }
    }
  }

  void write(int[] values, CudaTensor into) {
    for (int first = 0; first < values.length; first += BYTES / 4) {
      int count = Math.min(BYTES / 4, values.length - first);
      buffer.clear();
      buffer.asIntBuffer().put(values, first, count);
      sendWords(into, first, count);
    }
  }

  void write(float[] values, CudaTensor into) {
    for (int first = 0; first < values.length; first += BYTES / 4) {
      int count = Math.min(BYTES / 4, values.length - first);
      buffer.clear();
      buffer.asFloatBuffer().put(values, first, count);
      sendWords(into, first, count);
    }
  }

  int[] readInts(CudaTensor from) {
    int[] values = new int[Math.toIntExact(from.elements())];
    for (int first = 0; first < values.length; first += BYTES / 4) {
      int count = Math.min(BYTES / 4, values.length - first);
      fetch(from, 4L * first, count * 4);
      buffer.asIntBuffer().get(values, first, count);
    }

    return values;
  }

  float[] readFloats(CudaTensor from) {
    float[] values = new float[Math.toIntExact(from.elements())];
    int size = from.type().bytes();
    for (int first = 0; first < values.length; first += BYTES / 4) {
      int count = Math.min(BYTES / 4, values.length - first);
      fetch(from, (long) size * first, count * size);
      for (int i = 0; i < count; i++) {
        values[first + i] =
            from.type() == DType.F32
                ? buffer.getFloat(i * 4)
                : Bits.fromBf16(buffer.getShort(i * 2));
      }
    }

    return values;
  }

  /** Copies the buffer's beginning to the GPU and waits, so that the buffer is free again. */
  private void send(CudaTensor into, long offset, int bytes) {
    check(
        JCudaDriver.cuMemcpyHtoDAsync(
            into.view(offset, into.shape()).pointer(), pinned, bytes, stream),
        () -> "copying %d bytes to the GPU".formatted(bytes));
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for a copy");
  }

  /**
   * Copies numbers of four bytes. Few are read by a kernel: the engine that copies may be at work
   * on an expert for milliseconds.
   */
  private void sendWords(CudaTensor into, int first, int count) {
    if (4 * count > FEW_BYTES) {
      send(into, 4L * first, 4 * count);
      return;
    }

    kernels
        .on("gather_4", 1, 256)
        .with(seen.value())
        .with(seen.value() + BYTES) // the row to take: 0
        .with(into.address() + 4L * first)
        .with(count)
        .run();
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for a copy");
  }

  private void fetch(CudaTensor from, long offset, int bytes) {
    buffer.clear();
    check(
        JCudaDriver.cuMemcpyDtoHAsync(
            pinned, from.view(offset, from.shape()).pointer(), bytes, stream),
        () -> "copying %d bytes from the GPU".formatted(bytes));
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for a copy");
  }

  void free() {
    JCudaDriver.cuMemFreeHost(pinned);
  }
}
