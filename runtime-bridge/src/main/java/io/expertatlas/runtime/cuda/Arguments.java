package io.expertatlas.runtime.cuda;

import java.nio.LongBuffer;
import jcuda.Pointer;
import org.bytedeco.javacpp.LongPointer;

/**
 * Native memory where the driver finds a launch's arguments: a slot of eight bytes for each, after
 * a list of the slots' addresses. JCuda passes its address on as it is, while arguments in arrays
 * of Java cost it about a microsecond each. Not safe for several threads.
 */
final class Arguments {
  /** Arguments of a kernel at most. */
  static final int MOST = 16;

  private final LongPointer memory = new LongPointer(2L * MOST);
  private final Pointer addresses = new At(memory.address());
  private final LongBuffer slots;

  /** An address of the host. */
  private static final class At extends Pointer {
    At(long value) {
      super(value);
    }
  }

  Arguments() {
    LongBuffer all = memory.asBuffer();
    for (int i = 0; i < MOST; i++) {
      all.put(i, memory.address() + Long.BYTES * (MOST + i));
    }

    this.slots = all.slice(MOST, MOST);
  }

  /**
   * The addresses of arguments, until those of the next launch are asked for.
   *
   * @param bits of each; of one of four bytes the low half, which comes first on hosts of GPUs
   */
  Pointer addresses(long[] bits, int count) {
    slots.put(0, bits, 0, count);
    return addresses;
  }

  void free() {
    memory.close();
  }
}
