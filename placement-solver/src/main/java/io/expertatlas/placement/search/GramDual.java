package io.expertatlas.placement.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;

/**
 * What some multipliers prove of a {@link GramBound}: they let the matrices and the entries be
 * chosen apart, and what both gain at most, the matrices by their smallest eigenvalues and the
 * entries by a min-cost flow, no dealing exceeds. All in the units of the relaxation.
 */
final class GramDual {
  private static final double UNITS = 1L << 30; // of flow weights
  private static final double ROUNDING = 1e-9; // of the largest multipliers

  private final int experts;
  private final int groups;
  private final Fantope fantope;
  private final double[][] pairs; // [gap][i * experts + j] weights between layers
  private final double[][] inside; // [layer][i * experts + j] weights in layers, symmetric
  private final double[][] multipliers; // [matrix][row * width + column], over rho
  private final int[][][]
      holders; // [layer][] matrices that hold a layer, and its first row in each
  private final double rho;

  /**
   * What some multipliers prove.
   *
   * @param experts of each layer
   * @param groups they are dealt to
   * @param fantope of the matrices
   * @param pairs {@code [gap][i * experts + j]} weights between layers
   * @param inside {@code [layer][i * experts + j]} weights in layers, symmetric
   * @param multipliers {@code [matrix][row * width + column]}, over rho
   * @param holders {@code [layer][]} matrices that hold a layer, and its first row in each
   * @param rho the unit of the multipliers
   */
  GramDual(
      int experts,
      int groups,
      Fantope fantope,
      double[][] pairs,
      double[][] inside,
      double[][] multipliers,
      int[][][] holders,
      double rho) {
    this.experts = experts;
    this.groups = groups;
    this.fantope = fantope;
    this.pairs = pairs;
    this.inside = inside;
    this.multipliers = multipliers;
    this.holders = holders;
    this.rho = rho;
  }

  private int size() {
    return experts / groups;
  }

  /** The weight that can stay at most. */
  double mostStays(Workers workers) {
    List<Callable<Double>> tasks = new ArrayList<>();
    for (int i = 0; i < multipliers.length; i++) {
      int at = i;
      tasks.add(() -> -ofHull(at));
    }

    for (int i = 0; i < pairs.length; i++) {
      int gap = i;
      tasks.add(() -> ofStep(gap));
    }

    for (int i = 0; i < inside.length; i++) {
      int layer = i;
      tasks.add(() -> ofSet(layer));
    }

    double stays = 0;
    for (double part : workers.all(tasks)) {
      stays += part;
    }

    return stays;
  }

  /** The least that a matrix of the Fantope costs at its multipliers. */
  private double ofHull(int matrix) {
    double sum = 0;
    double largest = 0;
    for (double multiplier : multipliers[matrix]) {
      sum += multiplier;
      largest = Math.max(largest, Math.abs(multiplier));
    }

    double least = fantope.leastProduct(multipliers[matrix]);
    double rounding = ROUNDING * largest * fantope.width() * size() * groups;
    return rho * (sum / groups + least - rounding);
  }

  /** The most that the entries between two layers gain. */
  private double ofStep(int gap) {
    double[] gains = new double[experts * experts];
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < experts; j++) {
        gains[i * experts + j] =
            pairs[gap][i * experts + j]
                + 2 * rho * multipliers[gap][i * fantope.width() + experts + j];
      }
    }

    return heaviest(gains, size());
  }

  /** The most that the entries of a layer gain, its diagonal included. */
  private double ofSet(int layer) {
    double[] gains = new double[experts * experts];
    double diagonal = 0;
    for (int[] holder : holders[layer]) {
      for (int i = 0; i < experts; i++) {
        int row = (holder[1] + i) * fantope.width() + holder[1];
        diagonal += rho * multipliers[holder[0]][row + i];
        for (int j = 0; j < experts; j++) {
          gains[i * experts + j] += i == j ? 0 : rho * multipliers[holder[0]][row + j];
        }
      }
    }

    double least = 0;
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < experts; j++) {
        gains[i * experts + j] += i == j ? 0 : inside[layer][i * experts + j] / 2;
        least = Math.min(least, gains[i * experts + j]);
      }
    }

    for (int i = 0; i < experts; i++) {
      gains[i * experts + i] = least; // an expert is not its own neighbour
    }

    return diagonal + heaviest(gains, size() - 1);
  }

  /** The largest sum of entries with exactly {@code degree} in each row and column, rounded up. */
  private double heaviest(double[] gains, int degree) {
    if (degree == 0) {
      return 0;
    }

    double least = Arrays.stream(gains).min().orElse(0);
    double most = Arrays.stream(gains).max().orElse(0);
    double scale = UNITS / Math.max(1e-12, most - least);
    long[] weights = new long[gains.length];
    for (int i = 0; i < gains.length; i++) {
      weights[i] = (long) Math.ceil((gains[i] - least) * scale);
    }

    long heaviest = GapBound.heaviestSubgraph(weights, experts, experts, degree, degree);
    return heaviest / scale + least * degree * experts;
  }
}
