package io.expertatlas.runtime.synthetic;

import java.util.Arrays;
import java.util.SplittableRandom;

/** Shares of experts, and the biases of a router that bring them about. */
final class Popularity {
  private static final int SAMPLES = 4096;
  private static final int ROUNDS = 80;

  private Popularity() {}

  /**
   * Shares that fall as a power of the rank, of a Gini coefficient; none above 1/k.
   *
   * @throws IllegalArgumentException if it cannot be reached
   */
  static double[] ofGini(int experts, int k, double gini) {
    double low = 0;
    double high = 40;
    for (int i = 0; i < 100; i++) {
      double middle = (low + high) / 2;
      if (gini(shares(experts, k, middle)) < gini) {
        low = middle;
      } else {
        high = middle;
      }
    }

    double[] shares = shares(experts, k, high);
    if (!(gini >= 0) || Math.abs(gini(shares) - gini) > 1e-6) {
      throw new IllegalArgumentException(
          "Invalid Gini coefficient: %s, 0 to %.3f for %d experts, top-%d"
              .formatted(gini, gini(shares(experts, k, 40)), experts, k));
    }

    return shares;
  }

  /**
   * Shares that fall as a power of the rank, whose squares sum to a concentration; none above 1/k.
   *
   * @throws IllegalArgumentException if it cannot be reached
   */
  static double[] ofConcentration(int experts, int k, double concentration) {
    double low = 0;
    double high = 40;
    for (int i = 0; i < 100; i++) {
      double middle = (low + high) / 2;
      if (squares(shares(experts, k, middle)) < concentration) {
        low = middle;
      } else {
        high = middle;
      }
    }

    double[] shares = shares(experts, k, high);
    if (Math.abs(squares(shares) - concentration) > 1e-6) {
      throw new IllegalArgumentException(
          "Invalid skew: %s, the sum of squared shares of %d experts, top-%d, is %.4f to %.4f"
              .formatted(
                  concentration,
                  experts,
                  k,
                  squares(shares(experts, k, 0)),
                  squares(shares(experts, k, 40))));
    }

    return shares;
  }

  private static double squares(double[] shares) {
    double sum = 0;
    for (double share : shares) {
      sum += share * share;
    }

    return sum;
  }

  /** {@code rank^-power}, made to sum to 1, what is above 1/k given to the others. */
  private static double[] shares(int experts, int k, double power) {
    double[] shares = new double[experts];
    int capped = 0;
    while (true) {
      double rest = 0;
      for (int e = capped; e < experts; e++) {
        rest += Math.pow(e + 1.0, -power);
      }

      for (int e = 0; e < experts; e++) {
        shares[e] =
            e < capped ? 1.0 / k : Math.pow(e + 1.0, -power) / rest * (1 - (double) capped / k);
      }

      if (capped >= k || shares[capped] <= 1.0 / k + 1e-12) {
        return shares;
      }

      capped++;
    }
  }

  /** Half the mean difference of two shares over their mean; shares fall. */
  static double gini(double[] falling) {
    double sum = 0;
    double weighted = 0;
    for (int e = 0; e < falling.length; e++) {
      sum += falling[e];
      weighted += falling[e] * (falling.length - 2.0 * e - 1);
    }

    return weighted / (falling.length * sum);
  }

  /**
   * Biases with which the k largest of {@code bias + noise} are as often each expert's as its share
   * says; the noise is normal of variance 1. Found by repeated correction on fixed samples.
   */
  static double[] biases(double[] shares, int k, long seed) {
    int experts = shares.length;
    double[] noise = new double[SAMPLES * experts];
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < noise.length; i++) {
      noise[i] =
          Math.sqrt(-2 * Math.log(1 - random.nextDouble()))
              * Math.cos(2 * Math.PI * random.nextDouble());
    }

    double[] bias = new double[experts];
    double[] found = new double[experts];
    for (int round = 0; round < ROUNDS; round++) {
      Arrays.fill(found, 0);
      for (int sample = 0; sample < SAMPLES; sample++) {
        count(noise, sample * experts, bias, k, found);
      }

      for (int e = 0; e < experts; e++) {
        double share = found[e] / ((double) SAMPLES * k);
        bias[e] += 0.5 * Math.log((shares[e] + 1e-4) / (share + 1e-4));
      }
    }

    return bias;
  }

  private static void count(double[] noise, int at, double[] bias, int k, double[] found) {
    boolean[] taken = new boolean[bias.length];
    for (int r = 0; r < k; r++) {
      int best = -1;
      for (int e = 0; e < bias.length; e++) {
        if (!taken[e] && (best < 0 || bias[e] + noise[at + e] > bias[best] + noise[at + best])) {
          best = e;
        }
      }

      taken[best] = true;
      found[best]++;
    }
  }
}
