package io.expertatlas.runtime.train;

import io.expertatlas.runtime.cpu.FloatProducts;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.Collections;
import java.util.List;

/**
 * What a pipeline computes with.
 *
 * @param devices one for each of the pipeline; their owner closes them
 * @param cpu computes experts beside them
 * @param recomputes whether backward computes layers again from their inputs, which a device holds,
 *     so that only those need memory between the passes; else the host keeps all
 */
public record Backend(List<MatrixDevice> devices, MatrixDevice cpu, boolean recomputes) {
  /** Copies the list. */
  public Backend {
    devices = List.copyOf(devices);
  }

  /** Logical devices on the CPU, in doubles: results are the same to the last bit for all plans. */
  public static Backend doubles(int devices, boolean recomputes) {
    return new Backend(
        Collections.nCopies(devices, DoubleDevice.INSTANCE), DoubleDevice.INSTANCE, recomputes);
  }

  /** Whether experts on the CPU are computed one by one, by several threads each. */
  boolean isThreaded() {
    return !(cpu instanceof DoubleDevice);
  }

  /** Gives products on the CPU their threads; in doubles each runs on the thread that asks. */
  void useThreads(int threads) {
    FloatProducts.useThreads(isThreaded() ? threads : 1);
  }

  Stage.Keep keep() {
    return recomputes ? Stage.Keep.REDUCED : Stage.Keep.TAPES;
  }
}
