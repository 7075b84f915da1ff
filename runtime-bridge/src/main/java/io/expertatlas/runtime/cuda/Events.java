package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** Events of the current context: who waits for one sleeps. */
final class Events {
  private Events() {}

  /** One after all that a stream was asked for. */
  static CUevent record(CUstream stream) {
    CUevent event = new CUevent();
    check(
        JCudaDriver.cuEventCreate(
            event, CUevent_flags.CU_EVENT_DISABLE_TIMING | CUevent_flags.CU_EVENT_BLOCKING_SYNC),
        "cuEventCreate");
    check(JCudaDriver.cuEventRecord(event, stream), "cuEventRecord");
    return event;
  }

  /** Whether it has passed. */
  static boolean hasPassed(CUevent event) {
    int result = JCudaDriver.cuEventQuery(event);
    if (result != CUresult.CUDA_ERROR_NOT_READY) {
      check(result, "cuEventQuery");
    }

    return result == CUresult.CUDA_SUCCESS;
  }

  /** Waits until it has passed. */
  static void await(CUevent event) {
    check(JCudaDriver.cuEventSynchronize(event), "waiting for an event");
  }

  /** Lets a stream wait for it. */
  static void order(CUstream stream, CUevent event) {
    check(JCudaDriver.cuStreamWaitEvent(stream, event, 0), "cuStreamWaitEvent");
  }

  static void destroy(CUevent event) {
    JCudaDriver.cuEventDestroy(event);
  }
}
