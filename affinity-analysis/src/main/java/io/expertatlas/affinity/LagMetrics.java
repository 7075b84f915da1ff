package io.expertatlas.affinity;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * How much the first choice of a layer says about that of the layer {@code lag} further on. n(e, f)
 * tokens of N go from e to f; n(e) and n(f) are the sums; without tokens all figures are 0.
 *
 * @param lag layers between the two
 * @param start the first of the two layers
 * @param mutualInformationBits {@code sum n(e,f)/N log2(n(e,f) N / (n(e) n(f)))}
 * @param shuffledMutualInformationBits the same of one random table with the same sums: what chance
 *     shows, see {@link GapMetrics}
 * @param topNext {@code sum_e max_f n(e,f) / N}: share of tokens whose choice is guessed by who
 *     always names the favourite successor of the choice before
 * @param shuffledTopNext the same of the random table
 * @param independentTopNext {@code max_f n(f) / N}: the same for who always names the most popular
 *     expert
 */
public record LagMetrics(
    int lag,
    int start,
    double mutualInformationBits,
    double shuffledMutualInformationBits,
    double topNext,
    double shuffledTopNext,
    double independentTopNext) {
  /** Mutual information beyond chance, in bits: the bias control. */
  public double informationGainBits() {
    return mutualInformationBits - shuffledMutualInformationBits;
  }

  /**
   * Affinity gain over independence: {@code topNext / shuffledTopNext}; 1 is none. The shuffled
   * table stands for independence because {@code independentTopNext} is that of an endless trace.
   */
  public double gain() {
    return shuffledTopNext == 0 ? 0 : topNext / shuffledTopNext;
  }

  /**
   * The metrics of all layers at one lag.
   *
   * @param seed of the random tables; each layer and lag draws its own
   */
  public static List<LagMetrics> of(LagTransitions transitions, long seed) {
    List<LagMetrics> metrics = new ArrayList<>();
    for (int start = 0; start < transitions.starts(); start++) {
      metrics.add(of(transitions, start, seed));
    }

    return metrics;
  }

  private static LagMetrics of(LagTransitions transitions, int start, long seed) {
    long[][] table = transitions.table(start);
    long[] from = new long[table.length];
    long[] to = new long[table.length];
    long total = 0;
    for (int e = 0; e < table.length; e++) {
      for (int f = 0; f < table.length; f++) {
        from[e] += table[e][f];
        to[f] += table[e][f];
        total += table[e][f];
      }
    }

    long busiest = 0;
    for (long tokens : to) {
      busiest = Math.max(busiest, tokens);
    }

    long other = (transitions.lag() - 1L) * 0x94d049bb133111ebL;
    SplittableRandom random = new SplittableRandom(seed + start * 0xbf58476d1ce4e5b9L + other);
    long[][] shuffled = ShuffledPairs.draw(from, to, random);
    return new LagMetrics(
        transitions.lag(),
        start,
        GapMetrics.mutualInformation(table, from, to, total),
        GapMetrics.mutualInformation(shuffled, from, to, total),
        topNext(table, total),
        topNext(shuffled, total),
        total == 0 ? 0 : busiest / (double) total);
  }

  private static double topNext(long[][] table, long total) {
    long guessed = 0;
    for (long[] row : table) {
      long max = 0;
      for (long tokens : row) {
        max = Math.max(max, tokens);
      }

      guessed += max;
    }

    return total == 0 ? 0 : guessed / (double) total;
  }
}
