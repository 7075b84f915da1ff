package io.expertatlas.predictor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Compares predicted with real popularity, an iteration at a time. */
final class IterationScore {
  private final int targets;
  private final int experts;
  private final long[] predicted; // [target][expert], of the iteration
  private final long[] chosen; // [target][expert], of the iteration
  private final List<double[]> variations = new ArrayList<>(); // an iteration: [target]
  private final long[] least; // [target][n - 1], summed
  private final long[] leastWithin; // [target][m - 1], summed

  IterationScore(int targets, int experts) {
    this.targets = targets;
    this.experts = experts;
    this.predicted = new long[targets * experts];
    this.chosen = new long[targets * experts];
    this.least = new long[targets * experts];
    this.leastWithin = new long[targets * experts];
  }

  /** A quarter of the experts, at least one: 2 of Mixtral's 8, 32 of NLLB-MoE's 128. */
  static int leastCount(int experts) {
    return Math.max(1, experts / 4);
  }

  void predicted(int target, int expert) {
    predicted[target * experts + expert]++;
  }

  void chosen(int target, int expert) {
    chosen[target * experts + expert]++;
  }

  int iterations() {
    return variations.size();
  }

  /** Ends the iteration, if it has tokens; gives the predicted counts. */
  long[] end() {
    long[] counts = predicted.clone();
    long choices = 0;
    for (int expert = 0; expert < experts; expert++) {
      choices += chosen[expert];
    }

    if (choices > 0) {
      double[] variation = new double[targets];
      for (int target = 0; target < targets; target++) {
        variation[target] = variation(target, choices);
        addLeast(target);
      }

      variations.add(variation);
    }

    Arrays.fill(predicted, 0);
    Arrays.fill(chosen, 0);
    return counts;
  }

  private double variation(int target, long choices) {
    double sum = 0;
    for (int expert = 0; expert < experts; expert++) {
      sum += Math.abs(predicted[target * experts + expert] - chosen[target * experts + expert]);
    }

    return sum / 2 / choices;
  }

  /**
   * APTMoE's agreement: experts sorted by falling count, ties by lower id; how many of the last n
   * predicted ones are among the last m real ones.
   */
  private void addLeast(int target) {
    Integer[] predictedOrder = order(predicted, target);
    Integer[] realOrder = order(chosen, target);
    int[] place = new int[experts]; // from the end, 1 is the least chosen
    for (int i = 0; i < experts; i++) {
      place[realOrder[i]] = experts - i;
    }

    for (int n = 1; n <= experts; n++) {
      for (int i = experts - n; i < experts; i++) {
        least[target * experts + n - 1] += place[predictedOrder[i]] <= n ? 1 : 0;
      }
    }

    for (int m = 1; m <= experts; m++) {
      for (int i = experts - leastCount(experts); i < experts; i++) {
        leastWithin[target * experts + m - 1] += place[predictedOrder[i]] <= m ? 1 : 0;
      }
    }
  }

  private Integer[] order(long[] counts, int target) {
    Integer[] order = new Integer[experts];
    Arrays.setAll(order, i -> i);
    Arrays.sort(
        order, (a, b) -> Long.compare(counts[target * experts + b], counts[target * experts + a]));
    return order;
  }

  Estimate totalVariation(int from, int to, long seed) {
    double[][] sums = new double[1][variations.size()];
    double[][] ones = new double[1][variations.size()];
    for (int i = 0; i < variations.size(); i++) {
      for (int target = from; target < to; target++) {
        sums[0][i] += variations.get(i)[target];
        ones[0][i]++;
      }
    }

    return Estimate.ratios(sums, ones, seed)[0];
  }

  double[] least(int from, int to) {
    double[] shares = new double[experts];
    for (int n = 1; n <= experts; n++) {
      shares[n - 1] = mean(least, n - 1, from, to) / n;
    }

    return shares;
  }

  double[] leastWithin(int from, int to) {
    double[] shares = new double[experts];
    for (int m = 1; m <= experts; m++) {
      shares[m - 1] = mean(leastWithin, m - 1, from, to) / leastCount(experts);
    }

    return shares;
  }

  private double mean(long[] sums, int column, int from, int to) {
    long sum = 0;
    for (int target = from; target < to; target++) {
      sum += sums[target * experts + column];
    }

    return (double) sum / variations.size() / (to - from);
  }
}
