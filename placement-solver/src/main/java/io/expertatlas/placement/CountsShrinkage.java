package io.expertatlas.placement;

import io.expertatlas.affinity.Coactivation;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Pair counts drawn toward what other tokens are likely to do. A trace is a sample: the placement
 * that is best for its pairs follows its noise too, and other sequences pay for that.
 *
 * <p>With n(e,f) tokens of N from expert e of a layer to f of the next (first choices), margins
 * n(e) and n(f), and a strength s from 0 (the counts themselves) to 1:
 *
 * <ul>
 *   <li>{@link #CO_ACTIVATION}: {@code A' n B}, where A and B, of the two layers, are {@code (1 -
 *       s) I + s C} and C(e,g) is the share of g among the experts that tokens choose beside e.
 *       What a pair was seen to do is lent to the experts that stand in for its own: a kernel
 *       smoother whose kernel comes from the trace. Nothing changes for top-1 models.
 *   <li>{@link #INDEPENDENCE}: {@code (1 - s) n + s n(e) n(f) / N}.
 *   <li>{@link #PAIRS}: {@code (1 - s) n + s u}, u the pairs of all choices by router weight,
 *       scaled to N.
 *   <li>{@link #EVEN}: {@code n / ((n(e) + a) (n(f) + a))^(s/2)}, scaled to N, {@code a = N / (10
 *       E)}: the affinity without the popularity of this workload, which the next one may not
 *       share.
 * </ul>
 *
 * <p>The results are whole numbers again, in units of one token over {@link #scale}. Only first
 * choices' transitions change.
 */
public enum CountsShrinkage {
  /** Toward what the experts chosen beside each other do. */
  CO_ACTIVATION {
    @Override
    void apply(RouteCounts counts, int gap, double[] pairs, double strength) {
      int experts = counts.shape().experts();
      double[][] before = kernel(counts.coactivation(), gap, strength);
      double[][] after = kernel(counts.coactivation(), gap + 1, strength);
      double[] half = new double[pairs.length];
      for (int from = 0; from < experts; from++) {
        for (int to = 0; to < experts; to++) {
          double weight = pairs[from * experts + to];
          for (int other = 0; weight != 0 && other < experts; other++) {
            half[other * experts + to] += weight * before[from][other];
          }
        }
      }

      Arrays.fill(pairs, 0);
      for (int from = 0; from < experts; from++) {
        for (int to = 0; to < experts; to++) {
          double weight = half[from * experts + to];
          for (int other = 0; weight != 0 && other < experts; other++) {
            pairs[from * experts + other] += weight * after[to][other];
          }
        }
      }
    }
  },
  /** Toward the product of the popularities. */
  INDEPENDENCE {
    @Override
    void apply(RouteCounts counts, int gap, double[] pairs, double strength) {
      int experts = counts.shape().experts();
      double[] leaving = margin(pairs, experts, true);
      double[] arriving = margin(pairs, experts, false);
      double total = Arrays.stream(leaving).sum();
      for (int cell = 0; total > 0 && cell < pairs.length; cell++) {
        pairs[cell] =
            (1 - strength) * pairs[cell]
                + strength * leaving[cell / experts] * arriving[cell % experts] / total;
      }
    }
  },
  /** Toward the pairs of all choices, by router weight. */
  PAIRS {
    @Override
    void apply(RouteCounts counts, int gap, double[] pairs, double strength) {
      int experts = counts.shape().experts();
      double[] units = new double[pairs.length];
      for (int cell = 0; cell < pairs.length; cell++) {
        units[cell] = counts.transitions().pairUnits(gap, cell / experts, cell % experts);
      }

      double scale = Arrays.stream(pairs).sum() / Math.max(1, Arrays.stream(units).sum());
      for (int cell = 0; cell < pairs.length; cell++) {
        pairs[cell] = (1 - strength) * pairs[cell] + strength * scale * units[cell];
      }
    }
  },
  /** Toward a workload in which all experts are equally popular. */
  EVEN {
    @Override
    void apply(RouteCounts counts, int gap, double[] pairs, double strength) {
      int experts = counts.shape().experts();
      double[] leaving = margin(pairs, experts, true);
      double[] arriving = margin(pairs, experts, false);
      double total = Arrays.stream(leaving).sum();
      double floor = total / (10 * experts);
      double sum = 0;
      for (int cell = 0; total > 0 && cell < pairs.length; cell++) {
        double popularity = (leaving[cell / experts] + floor) * (arriving[cell % experts] + floor);
        pairs[cell] /= Math.pow(popularity, strength / 2);
        sum += pairs[cell];
      }

      for (int cell = 0; sum > 0 && cell < pairs.length; cell++) {
        pairs[cell] *= total / sum;
      }
    }
  };

  private static final int SCALE_BITS = 8;
  private static final int TOTAL_BITS = 30; // so that what a layer's pairs sum to fits in an int

  /** The word of {@code --shrink-toward} and of files. */
  public String word() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The target of a word.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static CountsShrinkage ofWord(String word) {
    for (CountsShrinkage target : values()) {
      if (target.word().equals(word)) {
        return target;
      }
    }

    throw new IllegalArgumentException(
        "Invalid target: %s, one of %s"
            .formatted(
                word,
                String.join(", ", Arrays.stream(values()).map(CountsShrinkage::word).toList())));
  }

  /** Changes the pairs of a gap, {@code [from * experts + to]}, whose sum stays. */
  abstract void apply(RouteCounts counts, int gap, double[] pairs, double strength);

  /** Units of a token in the transitions of shrunken counts: 256, fewer above 2^22 tokens. */
  public static long scale(RouteCounts counts) {
    int bits = 64 - Long.numberOfLeadingZeros(counts.tokens());
    return 1L << Math.max(0, Math.min(SCALE_BITS, TOTAL_BITS - bits));
  }

  /**
   * The counts with their first choices' transitions shrunken; everything else is as it was.
   *
   * @param targets applied one after the other, each with the same strength
   * @param strength 0 to 1
   * @return transitions in units of {@code 1 / scale(counts)} tokens
   * @throws IllegalArgumentException if the strength is out of range
   */
  public static RouteCounts shrink(
      RouteCounts counts, List<CountsShrinkage> targets, double strength) {
    if (!(strength >= 0 && strength <= 1)) {
      throw new IllegalArgumentException("Invalid shrinkage: %s, 0 to 1".formatted(strength));
    }

    ModelShape shape = counts.shape();
    int square = shape.experts() * shape.experts();
    long scale = scale(counts);
    long[] firsts = new long[(shape.layers() - 1) * square];
    long[] units = new long[firsts.length];
    double[] pairs = new double[square];
    for (int gap = 0; gap < shape.layers() - 1; gap++) {
      for (int cell = 0; cell < square; cell++) {
        int from = cell / shape.experts();
        int to = cell % shape.experts();
        pairs[cell] = counts.transitions().firstChoices(gap, from, to);
        units[gap * square + cell] = counts.transitions().pairUnits(gap, from, to);
      }

      for (CountsShrinkage target : targets) {
        if (strength > 0) {
          target.apply(counts, gap, pairs, strength);
        }
      }

      for (int cell = 0; cell < square; cell++) {
        firsts[gap * square + cell] = Math.round(pairs[cell] * scale);
      }
    }

    return new RouteCounts(
        shape,
        counts.tokens(),
        counts.popularity(),
        new Transitions(shape, firsts, units),
        counts.coactivation(),
        counts.expertSets());
  }

  private static double[] margin(double[] pairs, int experts, boolean leaving) {
    double[] margin = new double[experts];
    for (int cell = 0; cell < pairs.length; cell++) {
      margin[leaving ? cell / experts : cell % experts] += pairs[cell];
    }

    return margin;
  }

  /**
   * {@code (1 - s) I + s C} of a layer; experts that are never beside another keep to themselves.
   */
  private static double[][] kernel(Coactivation coactivation, int layer, double strength) {
    int experts = coactivation.shape().experts();
    double[][] kernel = new double[experts][experts];
    for (int expert = 0; expert < experts; expert++) {
      double sum = 0;
      for (int other = 0; other < experts; other++) {
        sum += other == expert ? 0 : coactivation.tokens(layer, expert, other);
      }

      kernel[expert][expert] = sum == 0 ? 1 : 1 - strength;
      for (int other = 0; sum > 0 && other < experts; other++) {
        if (other != expert) {
          kernel[expert][other] = strength * coactivation.tokens(layer, expert, other) / sum;
        }
      }
    }

    return kernel;
  }
}
