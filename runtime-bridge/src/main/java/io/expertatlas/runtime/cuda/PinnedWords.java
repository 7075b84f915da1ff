package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import java.nio.ByteBuffer;
import jcuda.Pointer;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * Page-locked memory of the host through which numbers of four bytes and their multiples pass to
 * and from a computing stream, in its order. A kernel copies them: the engines that copy may be at
 * work on weights or gradients for milliseconds.
 */
final class PinnedWords {
  private static final int THREADS = 256;

  private final CUstream stream;
  private final Kernels kernels;
  private final Pointer memory = new Pointer();
  private final Address seen = new Address(); // the same memory, as kernels see it
  private final ByteBuffer buffer;

  /**
   * Locks memory in the current context.
   *
   * @param kernels of the stream
   */
  PinnedWords(int bytes, CUstream stream, Kernels kernels) {
    this.stream = stream;
    this.kernels = kernels;
    check(JCudaDriver.cuMemHostAlloc(memory, bytes, 0), "locking %d bytes".formatted(bytes));
    check(JCudaDriver.cuMemHostGetDevicePointer(seen, memory, 0), "cuMemHostGetDevicePointer");
    this.buffer = memory.getByteBuffer(0, bytes);
  }

  /** The memory, in the machine's order of bytes. */
  ByteBuffer buffer() {
    return buffer;
  }

  /** Begins to copy from the {@code first}-th byte on to the GPU. */
  void send(long first, Address to, long bytes) {
    copy(seen.value() + first, to.value(), bytes);
  }

  /** Begins to copy from the GPU to the beginning. */
  void receive(Address from, long bytes) {
    copy(from.value(), seen.value(), bytes);
  }

  /** Copies from the GPU to the beginning, and waits. */
  void fetch(Address from, long bytes) {
    receive(from, bytes);
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for a copy");
  }

  private void copy(long from, long to, long bytes) {
    long words = (bytes + 3) / 4;
    kernels
        .on("train_copy", (words + THREADS - 1) / THREADS, THREADS)
        .with(from)
        .with(to)
        .with(words)
        .run();
  }

  /** The stream must be idle. */
  void free() {
    JCudaDriver.cuMemFreeHost(memory);
  }
}
