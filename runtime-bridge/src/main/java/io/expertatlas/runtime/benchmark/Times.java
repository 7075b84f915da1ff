package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.Device;
import java.util.Arrays;

/** Medians. */
final class Times {
  private Times() {}

  /** Median nanoseconds of some work on a device, run once more before, unmeasured. */
  static double median(int rounds, Device device, Runnable work) {
    double[] nanos = new double[rounds];
    for (int round = -1; round < rounds; round++) {
      device.synchronize();
      long start = System.nanoTime();
      work.run();
      device.synchronize();
      if (round >= 0) {
        nanos[round] = System.nanoTime() - start;
      }
    }

    return median(nanos);
  }

  /** The middle value, of an even number the mean of the middle two. */
  static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
