package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.MatrixDevice;

/**
 * Times work on a device: raw samples after a warm-up, each from an idle device to an idle device.
 * Short work is done several times a sample, as its launches queue up behind each other in a step.
 */
final class Stopwatch {
  private static final int WARM_UPS = 3;
  private static final int MOST_REPEATS = 8;
  private static final double LEAST_NANOS = 5e6;

  private final int samples;

  Stopwatch(int samples) {
    this.samples = samples;
  }

  /** What is timed. */
  interface Work {
    /** Does it, the i-th time. */
    void run(int i) throws InterruptedException;
  }

  /** Nanoseconds of one run each; what a run makes is given up with it. */
  double[] time(MatrixDevice device, Work work) throws InterruptedException {
    double last = 0;
    for (int i = 0; i < WARM_UPS; i++) {
      last = once(device, work, i, 1);
    }

    int repeats = (int) Math.min(MOST_REPEATS, Math.max(1, LEAST_NANOS / last));
    double[] nanos = new double[samples];
    for (int i = 0; i < samples; i++) {
      nanos[i] = once(device, work, i * repeats, repeats);
    }

    return nanos;
  }

  @SuppressWarnings("try") // scopes are there to be closed
  private static double once(MatrixDevice device, Work work, int first, int repeats)
      throws InterruptedException {
    device.synchronize();
    long begin = System.nanoTime();
    for (int i = first; i < first + repeats; i++) {
      try (MatrixDevice.Scope scope = device.scope()) {
        work.run(i);
      }
    }

    device.synchronize();
    return Math.max(1, (double) (System.nanoTime() - begin) / repeats);
  }

  /** Work that must be prepared, or cleared up, beside the clock. */
  interface Prepared<T> {
    /** Before the clock starts. */
    T prepare(int i) throws InterruptedException;

    /** What is timed. */
    void run(T prepared) throws InterruptedException;

    /** When the clock has stopped. */
    default void clear(T prepared) {}
  }

  /** The same, one run a sample. */
  <T> double[] time(MatrixDevice device, Prepared<T> work) throws InterruptedException {
    double[] nanos = new double[samples];
    for (int i = -WARM_UPS; i < samples; i++) {
      T prepared = work.prepare(i + WARM_UPS);
      device.synchronize();
      long begin = System.nanoTime();
      work.run(prepared);
      device.synchronize();
      long end = System.nanoTime();
      work.clear(prepared);
      if (i >= 0) {
        nanos[i] = Math.max(1, end - begin);
      }
    }

    return nanos;
  }
}
