package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * What operations are told by the host: indices, weights, addresses. Put together in page-locked
 * memory and copied to the same place of memory of the GPU, in one copy an operation; both halves
 * in turns, each again when its copies are done.
 */
final class Uploads {
  /** Bytes of an operation at most. */
  static final int HALF = 8 << 20;

  /** Bytes that it takes of the GPU. */
  static final long BYTES = 2L * HALF;

  private final CUstream stream;
  private final Events events;
  private final PinnedWords pinned;
  private final ByteBuffer host;
  private final Address memory = new Address();
  private final CUevent[] left = new CUevent[2]; // recorded when a half was left
  private int half;
  private int start;
  private int end;

  /**
   * Memory for what a stream is told.
   *
   * @param kernels of the stream
   */
  Uploads(CUstream stream, Kernels kernels, Events events) {
    this.stream = stream;
    this.events = events;
    this.pinned = new PinnedWords((int) BYTES, stream, kernels);
    this.host = pinned.buffer();
    check(JCudaDriver.cuMemAlloc(memory, BYTES), "allocating %d bytes".formatted(BYTES));
  }

  /** Makes room for an upload. */
  private void begin(long bytes) {
    if (bytes > HALF) {
      throw new IllegalArgumentException(
          "Cannot tell a GPU %,d bytes for one operation, at most %,d".formatted(bytes, HALF));
    }

    end = (end + 15) / 16 * 16;
    if (end + bytes > (half + 1) * HALF) {
      left[half] = events.record(stream);
      half = 1 - half;
      end = half * HALF;
      if (left[half] != null) {
        Events.await(left[half]);
        events.giveBack(left[half]);
        left[half] = null;
      }
    }

    start = end;
  }

  private void send(Address to) {
    if (end > start) {
      pinned.send(start, to, end - start);
    }
  }

  /** Addresses of numbers that were sent; of none if there are none. */
  record Sent(long longs, long[] ints, long floats) {}

  /**
   * Sends numbers for what is called next.
   *
   * @param floats rounded to floats; may be empty
   */
  Sent send(long[] longs, double[] floats, int[]... ints) {
    long bytes = 8L * longs.length + 4L * floats.length;
    for (int[] some : ints) {
      bytes += 4L * some.length;
    }

    begin(bytes);
    long longsAt = memory.value() + end;
    host.position(end).slice().order(host.order()).asLongBuffer().put(longs);
    end += 8 * longs.length;
    long floatsAt = memory.value() + end;
    put(floats);
    long[] intsAt = new long[ints.length];
    for (int i = 0; i < ints.length; i++) {
      intsAt[i] = memory.value() + end;
      put(ints[i]);
    }

    send(memory.withByteOffset(start));
    return new Sent(longsAt, intsAt, floatsAt);
  }

  private void put(double[] floats) {
    float[] rounded = new float[floats.length];
    for (int i = 0; i < floats.length; i++) {
      rounded[i] = (float) floats[i];
    }

    host.position(end).slice().order(host.order()).asFloatBuffer().put(rounded);
    end += 4 * floats.length;
  }

  private void put(int[] ints) {
    host.position(end).slice().order(host.order()).asIntBuffer().put(ints);
    end += 4 * ints.length;
  }

  /**
   * Copies numbers to a matrix of as many, ints behind floats: for more than what is called next.
   *
   * @param floats rounded to floats
   */
  void fill(CudaMatrix matrix, double[] floats, int[] ints) {
    begin(4L * floats.length + 4L * ints.length);
    put(floats);
    put(ints);
    if (matrix.count() > 0) {
      send(matrix.pointer(0));
    }
  }

  /** Numbers a piece of {@link #fill} at most. */
  static final int PIECE = HALF / Float.BYTES;

  /** Writes numbers to a matrix. */
  interface Source {
    /** Puts numbers from the {@code first}-th on into a buffer's rest. */
    void copyInto(FloatBuffer into, int first);
  }

  /** Copies as many numbers as a matrix has to it. */
  void fill(CudaMatrix matrix, Source source) {
    int count = matrix.count();
    for (int first = 0; first < count; first += PIECE) {
      int some = Math.min(PIECE, count - first);
      begin(4L * some);
      FloatBuffer room = host.position(end).slice().order(host.order()).asFloatBuffer();
      source.copyInto(room.limit(some), first);
      end += 4 * some;
      send(matrix.pointer(4L * first));
    }
  }

  /** Frees all; the stream must be idle. */
  void close() {
    for (CUevent event : left) {
      if (event != null) {
        events.giveBack(event);
      }
    }

    pinned.free();
    JCudaDriver.cuMemFree(memory);
  }
}
