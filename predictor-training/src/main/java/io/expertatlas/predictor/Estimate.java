package io.expertatlas.predictor;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * A figure with its 95 % bootstrap interval (percentile method).
 *
 * @param value on all units
 * @param low 2.5th percentile of the resamples
 * @param high 97.5th percentile of the resamples
 */
public record Estimate(double value, double low, double high) {
  /** Resamples that an interval is made of. */
  public static final int RESAMPLES = 1000;

  private static final double TAIL = 0.025;

  /**
   * Ratios of sums, each with its interval: units (sequences) are drawn with replacement, as many
   * as there are, and numerators and denominators are summed anew. All metrics see the same draws.
   *
   * @param numerators {@code [metric][unit]}
   * @param denominators {@code [metric][unit]}
   * @param seed of the draws
   * @return an estimate for each metric; not a number where nothing was counted
   */
  public static Estimate[] ratios(double[][] numerators, double[][] denominators, long seed) {
    int metrics = numerators.length;
    int units = metrics == 0 ? 0 : numerators[0].length;
    SplittableRandom random = new SplittableRandom(seed);
    double[][] drawn = new double[metrics][RESAMPLES];
    int[] times = new int[units];
    for (int resample = 0; resample < RESAMPLES && units > 0; resample++) {
      Arrays.fill(times, 0);
      for (int i = 0; i < units; i++) {
        times[random.nextInt(units)]++;
      }

      for (int metric = 0; metric < metrics; metric++) {
        drawn[metric][resample] = ratio(numerators[metric], denominators[metric], times);
      }
    }

    Arrays.fill(times, 1);
    Estimate[] estimates = new Estimate[metrics];
    for (int metric = 0; metric < metrics; metric++) {
      double value = ratio(numerators[metric], denominators[metric], times);
      double[] sorted =
          Arrays.stream(drawn[metric]).filter(d -> !Double.isNaN(d)).sorted().toArray();
      estimates[metric] =
          sorted.length == 0 || units == 0
              ? new Estimate(value, Double.NaN, Double.NaN)
              : new Estimate(value, percentile(sorted, TAIL), percentile(sorted, 1 - TAIL));
    }

    return estimates;
  }

  private static double ratio(double[] numerator, double[] denominator, int[] times) {
    double sum = 0;
    double of = 0;
    for (int unit = 0; unit < times.length; unit++) {
      sum += times[unit] * numerator[unit];
      of += times[unit] * denominator[unit];
    }

    return sum / of;
  }

  private static double percentile(double[] sorted, double share) {
    return sorted[(int) Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  }
}
