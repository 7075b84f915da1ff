package io.expertatlas.runtime.pipeline;

import java.util.Arrays;

/**
 * Measured time over a number of tokens. Times between two measured counts are interpolated
 * linearly, those above the last grow in proportion to the count, those below the first are the
 * first's, and no token takes no time. Immutable.
 */
public final class TokenCurve {
  private final int[] tokens; // ascending
  private final double[][] samples; // [point][sample] nanoseconds, as measured
  private final double[] nanos; // [point]

  private TokenCurve(int[] tokens, double[][] samples, double[] nanos) {
    this.tokens = tokens;
    this.samples = samples;
    this.nanos = nanos;
  }

  /**
   * A curve through the medians of samples, as measured: it may fall.
   *
   * @param tokens {@code [point]} counts, ascending, from 1
   * @param samples {@code [point][sample]} nanoseconds
   * @throws IllegalArgumentException if a count is not above the one before, or a point has no
   *     sample or one that is not positive
   */
  public static TokenCurve of(int[] tokens, double[][] samples) {
    if (tokens.length == 0 || tokens.length != samples.length) {
      throw new IllegalArgumentException(
          "Invalid curve: %d token counts, %d points with samples, as many of each, at least 1"
              .formatted(tokens.length, samples.length));
    }

    double[] nanos = new double[tokens.length];
    for (int point = 0; point < tokens.length; point++) {
      int before = point == 0 ? 0 : tokens[point - 1];
      if (tokens[point] <= before) {
        throw new IllegalArgumentException(
            "Invalid token counts of a curve: %d after %d, expected ascending ones from 1"
                .formatted(tokens[point], before));
      }

      nanos[point] = median(samples[point]);
    }

    return new TokenCurve(
        tokens.clone(),
        Arrays.stream(samples).map(double[]::clone).toArray(double[][]::new),
        nanos);
  }

  /**
   * The median of samples.
   *
   * @throws IllegalArgumentException if there is none, or one is not a positive number
   */
  public static double median(double[] samples) {
    double[] sorted = samples.clone();
    Arrays.sort(sorted);
    if (sorted.length == 0 || !(sorted[0] > 0) || !Double.isFinite(sorted[sorted.length - 1])) {
      throw new IllegalArgumentException(
          "Invalid samples of a time: %s, expected positive numbers, at least one"
              .formatted(Arrays.toString(samples)));
    }

    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  /**
   * The never falling curve with the least sum of squared differences (isotonic regression by
   * pooling adjacent violators): neighbours that fall share their mean.
   */
  public TokenCurve monotone() {
    double[] mean = new double[nanos.length];
    int[] size = new int[nanos.length];
    int pools = 0;
    for (double value : nanos) {
      mean[pools] = value;
      size[pools++] = 1;
      while (pools > 1 && mean[pools - 2] > mean[pools - 1]) {
        int merged = size[pools - 2] + size[pools - 1];
        mean[pools - 2] =
            (mean[pools - 2] * size[pools - 2] + mean[pools - 1] * size[pools - 1]) / merged;
        size[pools - 2] = merged;
        pools--;
      }
    }

    double[] fitted = new double[nanos.length];
    int point = 0;
    for (int pool = 0; pool < pools; pool++) {
      Arrays.fill(fitted, point, point + size[pool], mean[pool]);
      point += size[pool];
    }

    return new TokenCurve(tokens, samples, fitted);
  }

  /** The time of so many tokens. */
  public double nanos(int count) {
    if (count <= 0) {
      return 0;
    }

    int last = tokens.length - 1;
    if (count >= tokens[last]) {
      return nanos[last] * count / tokens[last];
    }

    int at = Arrays.binarySearch(tokens, count);
    if (at >= 0) {
      return nanos[at];
    }

    int above = -at - 1;
    if (above == 0) {
      return nanos[0];
    }

    double share = (double) (count - tokens[above - 1]) / (tokens[above] - tokens[above - 1]);
    return nanos[above - 1] + share * (nanos[above] - nanos[above - 1]);
  }

  /** Number of measured counts. */
  public int points() {
    return tokens.length;
  }

  /** The count of a point. */
  public int tokens(int point) {
    return tokens[point];
  }

  /** The samples of a point, nanoseconds. */
  public double[] samples(int point) {
    return samples[point].clone();
  }
}
