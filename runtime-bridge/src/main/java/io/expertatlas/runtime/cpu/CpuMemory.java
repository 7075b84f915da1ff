package io.expertatlas.runtime.cpu;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.Pointer;

/** Memory outside the heap that is freed together. */
final class CpuMemory implements AutoCloseable {
  static {
    configure();
  }

  /**
   * Tensors are freed by their device, not by the garbage collector, and are not part of -Xmx.
   * JavaCPP reads this once, so it is called before anything else of it.
   */
  static void configure() {
    System.setProperty("org.bytedeco.javacpp.nopointergc", "true");
    System.setProperty("org.bytedeco.javacpp.maxbytes", "0");
    System.setProperty("org.bytedeco.javacpp.maxphysicalbytes", "0");
  }

  private final List<Pointer> blocks = new ArrayList<>();
  private long bytes;
  private boolean closed;

  /** Zeroed memory. */
  Pointer allocate(String name, long size) {
    checkOpen();
    Pointer block = Pointer.calloc(Math.max(size, 1), 1);
    if (block == null || block.isNull()) {
      throw new IllegalStateException(
          "Cannot allocate %d bytes for %s beside %d bytes in use".formatted(size, name, bytes));
    }

    blocks.add(block);
    bytes += size;
    return block;
  }

  /** Bytes in use. */
  long bytes() {
    return bytes;
  }

  void checkOpen() {
    if (closed) {
      throw new IllegalStateException("The memory of this device has been freed");
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      blocks.forEach(Pointer::free);
      blocks.clear();
      bytes = 0;
    }
  }
}
