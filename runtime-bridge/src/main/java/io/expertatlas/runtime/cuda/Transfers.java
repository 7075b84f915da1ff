package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * Copies of numbers between buffers of the host and a GPU: a stream for loads, one for stores.
 * Buffers outside the heap are copied from and to where they are, others through page-locked
 * memory, piece by piece.
 */
final class Transfers {
  private static final int PIECE = 2 << 20; // numbers

  private final CUstream loads = new CUstream();
  private final CUstream stores = new CUstream();
  private final Staged loading = new Staged();
  private final Staged storing = new Staged();
  private final PinnedWords reading;
  private final Events events;
  private final List<Pointer> pinned = new ArrayList<>();

  /** Page-locked memory for pieces, made when it is needed. */
  private static final class Staged {
    private final Pointer memory = new Pointer();
    private ByteBuffer buffer;

    ByteBuffer buffer() {
      if (buffer == null) {
        check(
            JCudaDriver.cuMemHostAlloc(memory, 4L * PIECE, 0),
            "locking %d bytes".formatted(4L * PIECE));
        buffer = memory.getByteBuffer(0, 4L * PIECE);
      }

      return buffer;
    }

    void free() {
      if (buffer != null) {
        JCudaDriver.cuMemFreeHost(memory);
      }
    }
  }

  /**
   * Copies beside a stream that computes.
   *
   * @param kernels of that stream
   */
  Transfers(CUstream compute, Kernels kernels, Events events) {
    this.events = events;
    this.reading = new PinnedWords(4 * PIECE, compute, kernels);
    for (CUstream stream : List.of(loads, stores)) {
      check(
          JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING),
          "cuStreamCreate");
    }
  }

  /** Page-locked zeros that all GPUs copy fast, until this is closed. */
  synchronized FloatBuffer pinned(int numbers) {
    Pointer memory = new Pointer();
    long bytes = Math.max(1, 4L * numbers);
    check(
        JCudaDriver.cuMemHostAlloc(memory, bytes, JCudaDriver.CU_MEMHOSTALLOC_PORTABLE),
        "locking %d bytes of the host".formatted(bytes));
    pinned.add(memory);
    FloatBuffer values = memory.getByteBuffer(0, 4L * numbers).asFloatBuffer();
    float[] zeros = new float[Math.min(numbers, 1 << 16)];
    for (int first = 0; first < numbers; first += zeros.length) {
      values.put(first, zeros, 0, Math.min(zeros.length, numbers - first));
    }

    return values;
  }

  /** The first numbers of a buffer. */
  static FloatBuffer part(FloatBuffer values, int count) {
    if (values.capacity() < count || values.order() != ByteOrder.nativeOrder()) {
      throw new IllegalArgumentException(
          "Invalid host's numbers: %d, %s, for %d, %s"
              .formatted(values.capacity(), values.order(), count, ByteOrder.nativeOrder()));
    }

    return values.duplicate().clear().slice(0, count);
  }

  /** Begins to copy numbers to a matrix, whose memory nobody uses. */
  void load(FloatBuffer values, CudaMatrix matrix) {
    FloatBuffer from = part(values, matrix.count());
    if (from.isDirect()) {
      toGpu(matrix.pointer(0), Pointer.to(from), matrix.bytes());
      return;
    }

    synchronized (loading) {
      FloatBuffer room = loading.buffer().asFloatBuffer();
      for (int first = 0; first < from.capacity(); first += PIECE) {
        int some = Math.min(PIECE, from.capacity() - first);
        room.put(0, from, first, some);
        toGpu(matrix.pointer(4L * first), loading.memory, 4L * some);
        awaitLoads();
      }
    }
  }

  private void toGpu(CUdeviceptr to, Pointer from, long bytes) {
    check(
        JCudaDriver.cuMemcpyHtoDAsync(to, from, bytes, loads),
        () -> "copying %d bytes to the GPU".formatted(bytes));
  }

  /** Waits until all copies that were begun are there. */
  void awaitLoads() {
    CUevent copied = events.record(loads);
    Events.await(copied);
    events.giveBack(copied);
  }

  /** Begins to copy a matrix to the host behind an event. */
  void store(CudaMatrix matrix, FloatBuffer into, CUevent computed) {
    FloatBuffer to = part(into, matrix.count());
    Events.order(stores, computed);
    if (to.isDirect()) {
      toHost(Pointer.to(to), matrix.pointer(0), matrix.bytes());
    } else {
      pieces(matrix, to);
    }
  }

  /** Copies a matrix's numbers to a buffer's rest, behind what was computed. */
  synchronized void read(CudaMatrix matrix, int first, FloatBuffer into) {
    FloatBuffer to = into.slice();
    for (int done = 0; done < to.capacity(); done += PIECE) {
      int some = Math.min(PIECE, to.capacity() - done);
      reading.fetch(matrix.pointer(4L * (first + done)), 4L * some);
      to.put(done, reading.buffer().asFloatBuffer(), 0, some);
    }
  }

  /** Copies the beginning of a matrix as doubles that a kernel wrote. */
  synchronized double[] readDoubles(CudaMatrix matrix, int count) {
    double[] out = new double[count];
    int most = PIECE / 2;
    for (int first = 0; first < count; first += most) {
      int some = Math.min(most, count - first);
      reading.fetch(matrix.pointer(8L * first), 8L * some);
      reading.buffer().asDoubleBuffer().get(0, out, first, some);
    }

    return out;
  }

  private void pieces(CudaMatrix matrix, FloatBuffer to) {
    FloatBuffer room = storing.buffer().asFloatBuffer();
    for (int first = 0; first < to.capacity(); first += PIECE) {
      int some = Math.min(PIECE, to.capacity() - first);
      toHost(storing.memory, matrix.pointer(4L * first), 4L * some);
      check(JCudaDriver.cuStreamSynchronize(stores), "waiting for a copy");
      to.put(first, room, 0, some);
    }
  }

  private void toHost(Pointer to, CUdeviceptr from, long bytes) {
    check(
        JCudaDriver.cuMemcpyDtoHAsync(to, from, bytes, stores),
        () -> "copying %d bytes to the host".formatted(bytes));
  }

  /** An event behind all stores so far. */
  CUevent stored() {
    return events.record(stores);
  }

  /** Waits for stores. */
  void synchronize() {
    check(JCudaDriver.cuStreamSynchronize(stores), "waiting for stores");
  }

  /** Waits for all copies and frees what was locked. */
  void close() {
    JCudaDriver.cuStreamSynchronize(loads);
    JCudaDriver.cuStreamSynchronize(stores);
    loading.free();
    storing.free();
    reading.free();
    pinned.forEach(JCudaDriver::cuMemFreeHost);
    JCudaDriver.cuStreamDestroy(loads);
    JCudaDriver.cuStreamDestroy(stores);
  }
}
