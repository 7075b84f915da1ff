package io.expertatlas.affinity;

import java.util.SplittableRandom;

/**
 * How much the first choice of one layer says about that of the next. With n(e, f) tokens that go
 * from e to f, n(e) and n(f) its row and column sums and N tokens; without tokens all are 0.
 *
 * <p>A finite trace shows some affinity by chance: more for more experts, less for more tokens. The
 * shuffled figures are those of one random table with the same row and column sums, which is what
 * permuting the tokens independently in each layer gives ({@link #of}). Gain is what exceeds them.
 *
 * @param gap gap {@code l} lies between layers {@code l} and {@code l + 1}
 * @param mutualInformationBits {@code sum n(e,f)/N log2(n(e,f) N / (n(e) n(f)))}
 * @param shuffledMutualInformationBits the same, of the shuffled table
 * @param meanMaxNext {@code mean over e with n(e) > 0 of max_f n(e,f)/n(e)}: how surely the next
 *     expert is known, each expert counting once, however popular
 * @param independentMaxNext {@code max_f n(f)/N}: what it would be if layers were independent and
 *     the trace endless
 * @param shuffledMeanMaxNext {@code meanMaxNext} of the shuffled table
 */
public record GapMetrics(
    int gap,
    double mutualInformationBits,
    double shuffledMutualInformationBits,
    double meanMaxNext,
    double independentMaxNext,
    double shuffledMeanMaxNext) {
  /** Mutual information beyond the shuffled control, in bits; negative only by chance. */
  public double gainBits() {
    return mutualInformationBits - shuffledMutualInformationBits;
  }

  /**
   * The metrics of a gap.
   *
   * @param seed of the shuffled table; each gap draws its own
   */
  public static GapMetrics of(Transitions transitions, int gap, long seed) {
    int experts = transitions.shape().experts();
    long[][] pairs = new long[experts][experts];
    long[] from = new long[experts];
    long[] to = new long[experts];
    for (int e = 0; e < experts; e++) {
      for (int f = 0; f < experts; f++) {
        long tokens = transitions.firstChoices(gap, e, f);
        pairs[e][f] = tokens;
        from[e] += tokens;
        to[f] += tokens;
      }
    }

    // any odd factor but the generator's own step: seed + gap would repeat tables from seed to seed
    SplittableRandom random = new SplittableRandom(seed + gap * 0xbf58476d1ce4e5b9L);
    long[][] shuffled = ShuffledPairs.draw(from, to, random);
    long total = 0;
    long busiest = 0;
    for (long tokens : to) {
      total += tokens;
      busiest = Math.max(busiest, tokens);
    }

    return new GapMetrics(
        gap,
        mutualInformation(pairs, from, to, total),
        mutualInformation(shuffled, from, to, total),
        meanMax(pairs, from),
        total == 0 ? 0 : busiest / (double) total,
        meanMax(shuffled, from));
  }

  static double mutualInformation(long[][] pairs, long[] from, long[] to, double total) {
    double bits = 0;
    for (int e = 0; e < from.length; e++) {
      for (int f = 0; f < to.length; f++) {
        if (pairs[e][f] > 0) {
          bits += pairs[e][f] / total * Bits.log2(pairs[e][f] * total / ((double) from[e] * to[f]));
        }
      }
    }

    return Math.max(0, bits);
  }

  private static double meanMax(long[][] pairs, long[] from) {
    double sum = 0;
    int occurring = 0;
    for (int e = 0; e < from.length; e++) {
      if (from[e] > 0) {
        long max = 0;
        for (long tokens : pairs[e]) {
          max = Math.max(max, tokens);
        }

        sum += max / (double) from[e];
        occurring++;
      }
    }

    return occurring == 0 ? 0 : sum / occurring;
  }
}
