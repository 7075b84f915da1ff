package io.expertatlas.placement.cli;

import java.io.PrintWriter;
import java.util.concurrent.CountDownLatch;

/**
 * Lets Ctrl-C (SIGINT), or SIGTERM, end a solve instead of the process: while this is open, the
 * signal raises {@link #isStopped}, and the process ends only when this is closed, after the best
 * placement so far has been written. Its exit code is then the signal's, 130 or 143.
 */
final class StopSignal implements AutoCloseable {
  private final CountDownLatch closed = new CountDownLatch(1);
  private final Thread hook;
  private volatile boolean stopped;

  /**
   * Waits for the signal from now on.
   *
   * @param err is told that the signal came
   */
  StopSignal(PrintWriter err) {
    hook =
        new Thread(
            () -> {
              stopped = true;
              err.println("Stopping: the best placement so far will be written.");
              err.flush();
              awaitClose();
            },
            "stop-signal");
    Runtime.getRuntime().addShutdownHook(hook);
  }

  private void awaitClose() {
    try {
      closed.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Whether the signal came. */
  boolean isStopped() {
    return stopped;
  }

  @Override
  public void close() {
    closed.countDown();
    if (!stopped) {
      try {
        Runtime.getRuntime().removeShutdownHook(hook);
      } catch (IllegalStateException e) {
        // the signal came just now: the process ends, as all is written
        stopped = true;
      }
    }
  }
}
