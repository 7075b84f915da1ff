package io.expertatlas.affinity;

/**
 * Distances between two shares of choices, and what chance alone makes of them. Stateless. Of
 * counts {@code a, b} with sums A, B: {@code p = a / A}, {@code q = b / B}; a side without counts
 * has distance 0 to everything.
 */
public final class Distances {
  private Distances() {}

  /** {@code 1/2 sum |p - q|}: the share of choices that would have to change, 0 to 1. */
  public static double totalVariation(double[] p, double[] q) {
    double sum = 0;
    double total = 0;
    double other = 0;
    for (int i = 0; i < p.length; i++) {
      sum += Math.abs(p[i] - q[i]);
      total += p[i];
      other += q[i];
    }

    return total == 0 || other == 0 ? 0 : sum / 2;
  }

  /** Jensen-Shannon divergence {@code H((p+q)/2) - (H(p) + H(q)) / 2} in bits, 0 to 1. */
  public static double jensenShannonBits(double[] p, double[] q) {
    double bits = 0;
    for (int i = 0; i < p.length; i++) {
      double mean = (p[i] + q[i]) / 2;
      bits += p[i] == 0 ? 0 : p[i] / 2 * Bits.log2(p[i] / mean);
      bits += q[i] == 0 ? 0 : q[i] / 2 * Bits.log2(q[i] / mean);
    }

    return Math.max(0, bits);
  }

  /**
   * The total variation that two samples of one distribution are expected to show: the noise floor.
   * Analytic, not simulated: each share differs by a normal variable of variance {@code p (1 - k p)
   * / k * (1/n + 1/m)}, whose mean size is {@code sqrt(2 var / pi)}, but at most {@code 2 p}, which
   * holds for any sample. For k = 1 these are two multinomial samples; for k above 1 each token
   * draws k distinct experts. Tokens are taken as independent: those of one sequence are not, so
   * that the floor is a lower one.
   *
   * @param p shares that both samples are drawn from
   * @param n tokens of the one sample
   * @param m tokens of the other
   * @param topK choices of a token
   */
  public static double expectedTotalVariation(double[] p, long n, long m, int topK) {
    if (n == 0 || m == 0) {
      return 0;
    }

    double sum = 0;
    for (double share : p) {
      double variance = share * Math.max(0, 1 - topK * share) / topK * (1.0 / n + 1.0 / m);
      sum += Math.min(Math.sqrt(2 * variance / Math.PI), 2 * share);
    }

    return sum / 2;
  }

  /** Shares of counts; zeros if they sum to 0. */
  static double[] shares(long[] counts) {
    long total = 0;
    for (long count : counts) {
      total += count;
    }

    double[] shares = new double[counts.length];
    for (int i = 0; i < counts.length; i++) {
      shares[i] = total == 0 ? 0 : counts[i] / (double) total;
    }

    return shares;
  }

  /** Shares of a layer's choices. */
  static double[] shares(Popularity popularity, int layer) {
    long[] counts = new long[popularity.shape().experts()];
    for (int expert = 0; expert < counts.length; expert++) {
      counts[expert] = popularity.choices(layer, expert);
    }

    return shares(counts);
  }

  /** {@code (n p + m q) / (n + m)}. */
  static double[] pooled(double[] p, long n, double[] q, long m) {
    double[] pooled = new double[p.length];
    for (int i = 0; i < p.length; i++) {
      pooled[i] = (n * p[i] + m * q[i]) / (n + m);
    }

    return pooled;
  }
}
