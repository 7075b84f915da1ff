package io.expertatlas.affinity;

import java.util.SplittableRandom;

/**
 * Draws the transitions that a trace would have if its tokens were permuted independently in each
 * layer: the control of every affinity figure.
 *
 * <p>Such a permutation keeps how often each expert was chosen and makes the pairs a random table
 * with these margins (multivariate hypergeometric row by row). So the table is drawn from the
 * margins alone: the same distribution as permuting the tokens, without a second pass, and the same
 * result for any number of partitions. One cell costs as many steps as its standard deviation.
 */
final class ShuffledPairs {
  private ShuffledPairs() {}

  /**
   * Draws a table.
   *
   * @param from row sums, {@code [from]}
   * @param to column sums, {@code [to]}, of the same total
   * @return {@code [from][to]}
   */
  static long[][] draw(long[] from, long[] to, SplittableRandom random) {
    long[] left = to.clone(); // of each column
    long all = 0;
    for (long count : left) {
      all += count;
    }

    long[][] table = new long[from.length][to.length];
    for (int row = 0; row < from.length; row++) {
      long draws = from[row];
      long urn = all; // left in this and the later columns
      for (int column = 0; column < to.length && draws > 0; column++) {
        long drawn = hypergeometric(left[column], urn - left[column], draws, random);
        table[row][column] = drawn;
        urn -= left[column];
        left[column] -= drawn;
        draws -= drawn;
      }

      all -= from[row];
    }

    return table;
  }

  /**
   * How many of {@code draws} balls, taken without putting back from an urn of {@code good} and
   * {@code bad} ones, are good. Inversion from the mode outwards, both ways in turn.
   */
  static long hypergeometric(long good, long bad, long draws, SplittableRandom random) {
    long lowest = Math.max(0, draws - bad);
    long highest = Math.min(good, draws);
    if (lowest == highest) {
      return lowest;
    }

    double modal = (double) (good + 1) * (draws + 1) / (good + bad + 2);
    long mode = Math.max(lowest, Math.min(highest, (long) modal));
    double atMode =
        Math.exp(
            logBinomial(good, mode)
                + logBinomial(bad, draws - mode)
                - logBinomial(good + bad, draws));
    double rest = random.nextDouble() - atMode;
    long up = mode;
    long down = mode;
    double atUp = atMode;
    double atDown = atMode;
    while (rest >= 0 && (up < highest || down > lowest)) {
      if (up < highest) {
        atUp *= (double) (good - up) * (draws - up) / ((up + 1.0) * (bad - draws + up + 1.0));
        up++;
        rest -= atUp;
        if (rest < 0) {
          return up;
        }
      }

      if (down > lowest) {
        atDown *=
            (double) down * (bad - draws + down) / ((good - down + 1.0) * (draws - down + 1.0));
        down--;
        rest -= atDown;
        if (rest < 0) {
          return down;
        }
      }

      if (atUp == 0 && atDown == 0) {
        break; // what is left of 1 is rounding
      }
    }

    return mode;
  }

  private static double logBinomial(long n, long k) {
    return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  }

  /** Natural logarithm of n!, by Stirling's series from 16 on (error below 1e-12). */
  static double logFactorial(long n) {
    if (n < 16) {
      double product = 1;
      for (long i = 2; i <= n; i++) {
        product *= i;
      }

      return Math.log(product);
    }

    double x = n;
    return (x + 0.5) * Math.log(x)
        - x
        + 0.5 * Math.log(2 * Math.PI)
        + 1 / (12 * x)
        - 1 / (360 * x * x * x)
        + 1 / (1260 * x * x * x * x * x);
  }
}
