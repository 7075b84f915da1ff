package io.expertatlas.runtime.synthetic;

/**
 * Shares of the experts under APTMoE's random gate. A token draws E experts with replacement from
 * p(j) ~ j^-a, j = 1 .. E; each expert drawn scores Poisson(U), U uniform in (0, 1), the others 0;
 * the highest score wins, ties go to the lower index. Immutable.
 *
 * <p>The shares are exact. With X(i) the score of expert i and q(i, v) the chance that a drawn i
 * does not beat a winner j of score v (X below v for i before j, at most v behind it), expert j
 * wins with score v with the chance {@code P(X = v) E! [x^E] (e^(p(j) x) - 1) prod over i != j of
 * (1 + q(i, v) (e^(p(i) x) - 1))}; if nobody scores, expert 1 wins.
 */
public final class SkewedGate {
  private static final int MOST_SCORE = 12; // P(X > 12) < 1e-10
  private static final double[] SCORE = scores();

  private final double[] shares; // [rank], most popular first
  private final double exponent;

  private SkewedGate(double[] shares, double exponent) {
    this.shares = shares;
    this.exponent = exponent;
  }

  /** P(X = v) of a Poisson whose mean is uniform in (0, 1): 1 - sum over i to v of e^-1 / i!. */
  private static double[] scores() {
    double[] chances = new double[MOST_SCORE + 1];
    double term = Math.exp(-1);
    double below = 0;
    for (int v = 0; v <= MOST_SCORE; v++) {
      below += term;
      chances[v] = 1 - below;
      term /= v + 1;
    }

    return chances;
  }

  /**
   * The gate of an exponent.
   *
   * @throws IllegalArgumentException if there is no expert or the exponent is negative
   */
  public static SkewedGate ofExponent(int experts, double exponent) {
    if (experts < 1 || !(exponent >= 0) || Double.isInfinite(exponent)) {
      throw new IllegalArgumentException(
          "Invalid gate: %d experts, exponent %s, at least 1 and 0".formatted(experts, exponent));
    }

    return new SkewedGate(shares(experts, exponent), exponent);
  }

  /**
   * The gate of a concentration, the sum of squared shares. Down to that of exponent 0 the exponent
   * is solved for; below, shares of exponent 0 are mixed with equal ones.
   *
   * @param skew from 1 / experts to below 1
   * @throws IllegalArgumentException if it is not in that range
   */
  public static SkewedGate ofSkew(int experts, double skew) {
    double least = 1.0 / experts;
    double most = experts == 1 ? 1 : 0.999;
    if (!(skew >= least - 1e-9 && skew <= most)) {
      throw new IllegalArgumentException(
          "Invalid skew: %s, the sum of squared shares of %d experts is from %.4f to %.3f"
              .formatted(skew, experts, least, most));
    }

    SkewedGate flat = ofExponent(experts, 0);
    if (flat.skew() >= skew) {
      double weight =
          flat.skew() == least ? 0 : Math.sqrt(Math.max(0, skew - least) / (flat.skew() - least));
      double[] mixed = new double[experts];
      for (int rank = 0; rank < experts; rank++) {
        mixed[rank] = (1 - weight) / experts + weight * flat.shares[rank];
      }

      return new SkewedGate(mixed, 0);
    }

    double low = 0;
    double high = 1;
    while (squares(shares(experts, high)) < skew) {
      high *= 2;
    }

    for (int i = 0; i < 40; i++) {
      double middle = (low + high) / 2;
      if (squares(shares(experts, middle)) < skew) {
        low = middle;
      } else {
        high = middle;
      }
    }

    return ofExponent(experts, (low + high) / 2);
  }

  private static double[] shares(int experts, double exponent) {
    double[] p = new double[experts];
    double total = 0;
    for (int j = 0; j < experts; j++) {
      p[j] = Math.pow(j + 1, -exponent);
      total += p[j];
    }

    for (int j = 0; j < experts; j++) {
      p[j] /= total;
    }

    double[] shares = new double[experts];
    double won = 0;
    double below = SCORE[0]; // P(X < v)
    for (int v = 1; v <= MOST_SCORE; v++) {
      double[][] behind = new double[experts + 1][]; // products of the factors from j on
      behind[experts] = one(experts);
      for (int j = experts - 1; j >= 0; j--) {
        behind[j] = times(behind[j + 1], p[j], below + SCORE[v]);
      }

      double[] before = one(experts);
      for (int j = 0; j < experts; j++) {
        double chance = SCORE[v] * top(before, behind[j + 1], p[j]);
        shares[j] += chance;
        won += chance;
        before = times(before, p[j], below);
      }

      below += SCORE[v];
    }

    shares[0] += 1 - won;
    return shares;
  }

  /** The series 1, up to x^E; coefficients are times k!, so that none is small. */
  private static double[] one(int degree) {
    double[] series = new double[degree + 1];
    series[0] = 1;
    return series;
  }

  /** A series times 1 + q (e^(p x) - 1); products of exponential series take binomials. */
  private static double[] times(double[] series, double p, double q) {
    double[] product = new double[series.length];
    for (int k = 0; k < series.length; k++) {
      double sum = series[k];
      double term = 1; // C(k, i) p^i
      for (int i = 1; i <= k; i++) {
        term *= p * (k - i + 1) / i;
        sum += q * term * series[k - i];
      }

      product[k] = sum;
    }

    return product;
  }

  /** The last coefficient of a product of two series and e^(p x) - 1. */
  private static double top(double[] a, double[] b, double p) {
    int degree = a.length - 1;
    double sum = 0;
    double[] drawn = new double[degree + 1]; // b (e^(p x) - 1)
    for (int k = 0; k <= degree; k++) {
      double term = 1;
      for (int i = 1; i <= k; i++) {
        term *= p * (k - i + 1) / i;
        drawn[k] += term * b[k - i];
      }
    }

    double choose = 1;
    for (int i = 0; i <= degree; i++) {
      sum += choose * a[i] * drawn[degree - i];
      choose *= (double) (degree - i) / (i + 1);
    }

    return sum;
  }

  private static double squares(double[] shares) {
    double sum = 0;
    for (double share : shares) {
      sum += share * share;
    }

    return sum;
  }

  /** Number of experts. */
  public int experts() {
    return shares.length;
  }

  /** The share of the expert at a rank; rank 0 is the most popular. */
  public double share(int rank) {
    return shares[rank];
  }

  /** The sum of squared shares. */
  public double skew() {
    return squares(shares);
  }

  /** The exponent a. */
  public double exponent() {
    return exponent;
  }
}
