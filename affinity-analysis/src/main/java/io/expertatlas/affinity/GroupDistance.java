package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;

/**
 * How far two groups of tokens are apart: whether they need different placements. All figures are
 * means over the layers, or over the pairs of adjacent layers for transitions.
 *
 * @param group index of the one group
 * @param other index of the other, greater than group
 * @param popularity total variation {@code 1/2 sum |p - q|} of the experts' shares
 * @param popularityNoise the same for two samples of these sizes of the pooled shares, see {@link
 *     Distances#expectedTotalVariation}
 * @param popularityBits Jensen-Shannon divergence of the experts' shares
 * @param transitions total variation of the shares of (first choice, next first choice)
 * @param transitionsNoise what chance makes of it
 */
public record GroupDistance(
    int group,
    int other,
    double popularity,
    double popularityNoise,
    double popularityBits,
    double transitions,
    double transitionsNoise) {
  /** The distances of all pairs of groups, in lexicographic order. */
  public static List<GroupDistance> of(List<AnalysisPart> groups) {
    List<GroupDistance> distances = new ArrayList<>();
    for (int group = 0; group < groups.size(); group++) {
      for (int other = group + 1; other < groups.size(); other++) {
        distances.add(of(groups, group, other));
      }
    }

    return distances;
  }

  private static GroupDistance of(List<AnalysisPart> groups, int group, int other) {
    RouteCounts one = groups.get(group).counts();
    RouteCounts two = groups.get(other).counts();
    ModelShape shape = one.shape();
    double[] sums = new double[5];
    for (int layer = 0; layer < shape.layers(); layer++) {
      double[] p = Distances.shares(one.popularity(), layer);
      double[] q = Distances.shares(two.popularity(), layer);
      double[] pooled = Distances.pooled(p, one.tokens(), q, two.tokens());
      sums[0] += Distances.totalVariation(p, q);
      sums[1] += Distances.expectedTotalVariation(pooled, one.tokens(), two.tokens(), shape.topK());
      sums[2] += Distances.jensenShannonBits(p, q);
    }

    for (int gap = 0; gap < shape.layers() - 1; gap++) {
      double[] p = pairs(one.transitions(), gap);
      double[] q = pairs(two.transitions(), gap);
      double[] pooled = Distances.pooled(p, one.tokens(), q, two.tokens());
      sums[3] += Distances.totalVariation(p, q);
      sums[4] += Distances.expectedTotalVariation(pooled, one.tokens(), two.tokens(), 1);
    }

    int gaps = Math.max(1, shape.layers() - 1);
    return new GroupDistance(
        group,
        other,
        sums[0] / shape.layers(),
        sums[1] / shape.layers(),
        sums[2] / shape.layers(),
        sums[3] / gaps,
        sums[4] / gaps);
  }

  private static double[] pairs(Transitions transitions, int gap) {
    int experts = transitions.shape().experts();
    long[] counts = new long[experts * experts];
    for (int cell = 0; cell < counts.length; cell++) {
      counts[cell] = transitions.firstChoices(gap, cell / experts, cell % experts);
    }

    return Distances.shares(counts);
  }
}
