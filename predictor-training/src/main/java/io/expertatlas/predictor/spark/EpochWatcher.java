package io.expertatlas.predictor.spark;

import org.apache.spark.util.LongAccumulator;

/** Tells the epochs that tasks have done, from a thread of its own, until it is closed. */
final class EpochWatcher {
  private static final long POLL_MILLIS = 200;

  private final LongAccumulator epochs;
  private final Runnable epochDone;
  private final Thread thread;
  private long told;

  EpochWatcher(LongAccumulator epochs, Runnable epochDone) {
    this.epochs = epochs;
    this.epochDone = epochDone;
    this.thread = new Thread(this::watch, "training-progress");
    thread.setDaemon(true);
    thread.start();
  }

  private void watch() {
    try {
      while (true) {
        for (; told < epochs.value(); told++) {
          epochDone.run();
        }

        Thread.sleep(POLL_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Ends the thread: nothing is told afterwards. */
  void close() {
    thread.interrupt();
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
