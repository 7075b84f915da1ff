package io.expertatlas.predictor.nd4j;

import org.bytedeco.openblas.global.openblas;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOpsHolder;

/**
 * Keeps ND4J and its BLAS to the calling thread: layers are trained side by side, a thread each,
 * and one thread always adds in the same order, so that a seed gives the same bits.
 */
final class SingleThread {
  private SingleThread() {}

  /** To be called by every thread that trains, before it does. */
  static void enter() {
    synchronized (SingleThread.class) {
      Nd4j.getEnvironment().setMaxThreads(1);
      Nd4j.getEnvironment().setMaxMasterThreads(1);
      openblas.blas_set_num_threads(1);
    }

    NativeOpsHolder.getInstance().getDeviceNativeOps().setOmpNumThreads(1); // of this thread
  }
}
