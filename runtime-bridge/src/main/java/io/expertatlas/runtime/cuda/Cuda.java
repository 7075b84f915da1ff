package io.expertatlas.runtime.cuda;

import java.util.function.Supplier;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** The driver: loaded once, its answers checked. */
final class Cuda {
  private static final String MISSING;

  static {
    String missing = "";
    try {
      JCudaDriver.setExceptionsEnabled(false);
      int result = JCudaDriver.cuInit(0);
      if (result != CUresult.CUDA_SUCCESS) {
        missing = "cuInit: " + CUresult.stringFor(result);
      }
    } catch (UnsatisfiedLinkError e) {
      missing = "no CUDA driver on this machine: " + e.getMessage().lines().findFirst().orElse("");
    }

    MISSING = missing;
  }

  private Cuda() {}

  /** Why there is no CUDA here; empty if there is. */
  static String missing() {
    return MISSING;
  }

  /** Number of GPUs, 0 without a driver. */
  static int devices() {
    int[] count = new int[1];
    if (MISSING.isEmpty()) {
      check(JCudaDriver.cuDeviceGetCount(count), "cuDeviceGetCount");
    }

    return count[0];
  }

  /** An event after all that was called on a stream so far. */
  static CUevent event(CUstream stream) {
    CUevent event = new CUevent();
    check(JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    check(JCudaDriver.cuEventRecord(event, stream), "cuEventRecord");
    return event;
  }

  /**
   * Checks the answer of a driver call.
   *
   * @throws IllegalStateException if it is an error, with the call
   */
  static void check(int result, String call) {
    check(result, () -> call);
  }

  /** The same for frequent calls: what was called is put into words only if it is needed. */
  static void check(int result, Supplier<String> call) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw new IllegalStateException(
          "CUDA failed at %s: %s".formatted(call.get(), CUresult.stringFor(result)));
    }
  }

  /**
   * The answer of a driver call that asks whether work has ended.
   *
   * @throws IllegalStateException if it is an error, with the call
   */
  static boolean isDone(int result, String call) {
    if (result != CUresult.CUDA_ERROR_NOT_READY) {
      check(result, call);
    }

    return result == CUresult.CUDA_SUCCESS;
  }
}
