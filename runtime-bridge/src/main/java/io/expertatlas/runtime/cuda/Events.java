package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import java.util.ArrayDeque;
import java.util.Deque;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * Events of a context, each used again once it was given back: who waits for one sleeps. Safe for
 * several threads, in that context.
 */
final class Events {
  private final Deque<CUevent> spare = new ArrayDeque<>();
  private boolean closed;

  /** One after all that a stream was asked for. */
  CUevent record(CUstream stream) {
    CUevent event = take();
    check(JCudaDriver.cuEventRecord(event, stream), "cuEventRecord");
    return event;
  }

  private synchronized CUevent take() {
    if (!spare.isEmpty()) {
      return spare.pop();
    }

    CUevent event = new CUevent();
    check(
        JCudaDriver.cuEventCreate(
            event, CUevent_flags.CU_EVENT_DISABLE_TIMING | CUevent_flags.CU_EVENT_BLOCKING_SYNC),
        "cuEventCreate");
    return event;
  }

  /** Whether it has passed. */
  static boolean hasPassed(CUevent event) {
    return Cuda.isDone(JCudaDriver.cuEventQuery(event), "cuEventQuery");
  }

  /** Waits until it has passed. */
  static void await(CUevent event) {
    check(JCudaDriver.cuEventSynchronize(event), "waiting for an event");
  }

  /** Lets a stream wait for it as it was recorded last, also if it is given back then. */
  static void order(CUstream stream, CUevent event) {
    check(JCudaDriver.cuStreamWaitEvent(stream, event, 0), "cuStreamWaitEvent");
  }

  /** Gives one back that nobody asks or waits for any more. */
  synchronized void giveBack(CUevent event) {
    if (closed) {
      JCudaDriver.cuEventDestroy(event);
    } else {
      spare.push(event);
    }
  }

  /** Destroys those that were given back, and each that is from now on. */
  synchronized void close() {
    closed = true;
    spare.forEach(JCudaDriver::cuEventDestroy);
    spare.clear();
  }
}
