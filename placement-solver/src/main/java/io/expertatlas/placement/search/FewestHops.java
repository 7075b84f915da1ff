package io.expertatlas.placement.search;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * Of the partitions of equal fan-out, those that hop least. Fan-out is a sum over layers, and its
 * search ends with several partitions of a layer whose difference is some hundred-thousandths of
 * the sum; their hops differ by tenths. So sums that are above the least by {@link #EQUAL} of it at
 * most count as equal, and the path through such partitions whose best names hop least is taken
 * ({@link LayerChoice}). Candidates are what the search ended its anneals with, and what one swap
 * makes of that.
 */
final class FewestHops {
  /** The share of the least fan-out found by which others may be above it and count as equal. */
  static final double EQUAL = 5e-5;

  private static final int MOST = 24; // candidates of a layer, of 8 parts

  private final PlacementProblem problem;
  private final Chain chain; // of fan-out
  private final Chain hops;
  private final FanoutSearch search;
  private final int most;
  private final BooleanSupplier isTimeUp;

  /**
   * Prepares a choice.
   *
   * @param chain what was searched
   * @param search the search, which has ended
   * @param isTimeUp whether to end with what is known
   */
  FewestHops(PlacementProblem problem, Chain chain, FanoutSearch search, BooleanSupplier isTimeUp) {
    this.problem = problem;
    this.chain = chain;
    this.hops =
        Chain.of(problem.withObjective(Objective.HOPS).withCaps(Caps.NONE), new Prices(1, 0, 0, 0));
    this.search = search;
    this.isTimeUp = isTimeUp;
    // what a pair of candidates saves takes an assignment of the parts
    this.most = Math.max(2, Math.min(MOST, MOST * 8 / chain.parts().gpus()));
  }

  /** Hops of a map, over all tokens. */
  long hops(int[][] map) {
    return hops.cost(map);
  }

  /**
   * The map to take, its GPUs named for the fewest hops; never more hops than the cheapest map has
   * under its best names.
   *
   * @param cheapest the map that the search found
   * @param room how much more fan-out is as good, over all tokens
   */
  int[][] of(int[][] cheapest, long room) {
    int[][] named = Relabel.of(problem, cheapest);
    List<List<int[]>> candidates = new ArrayList<>();
    long[][] costs = new long[cheapest.length][];
    for (int layer = 0; layer < costs.length; layer++) {
      int at = layer;
      List<int[]> near =
          isTimeUp.getAsBoolean()
              ? List.of(cheapest[layer])
              : near(layer, search.cost(layer, cheapest[layer]) + room);
      candidates.add(near);
      costs[layer] = near.stream().mapToLong(map -> search.cost(at, map)).toArray();
    }

    int[][] chosen =
        Relabel.of(
            problem,
            new LayerChoice(hops, candidates, costs, isTimeUp).within(chain.cost(cheapest) + room));
    return hops(chosen) < hops(named) ? chosen : named;
  }

  /** A partition, or the swap that makes one of another. */
  private record Candidate(int[] map, int one, int other, long cost) {
    int[] swapped() {
      int[] swapped = map.clone();
      swapped[one] = map[other];
      swapped[other] = map[one];
      return swapped;
    }
  }

  /** Partitions of a layer within its caps that cost so much at most, the cheapest ones. */
  private List<int[]> near(int layer, long cap) {
    List<Candidate> found = new ArrayList<>();
    Chain alone = chain.layer(layer);
    PairCounts pairs = new PairCounts(alone);
    AnnealedMap map = new AnnealedMap(pairs, false /* asserting */);
    for (int[] kept : search.kept().get(layer)) {
      long cost = search.cost(layer, kept);
      if (cost > cap || !found.isEmpty() && isTimeUp.getAsBoolean()) {
        break; // the cheapest come first
      }

      found.add(new Candidate(kept, 0, 0, cost));
      map.reset(new int[][] {kept});
      for (int one = 1; one < kept.length; one++) {
        for (int other = 0; other < one; other++) {
          if (kept[one] != kept[other] && map.swapExcess(0, one, other) <= 0) {
            long swapped = cost + ((long) map.swapRise(0, one, other) << pairs.shift());
            if (swapped <= cap) {
              found.add(new Candidate(kept, one, other, swapped));
            }
          }
        }
      }
    }

    found.sort(Comparator.comparingLong(Candidate::cost));
    List<int[]> near = new ArrayList<>();
    for (Candidate candidate : found) {
      int[] swapped = candidate.swapped();
      if (near.size() < most
          && search.cost(layer, swapped) <= cap // counts may have been rounded
          && near.stream().noneMatch(other -> search.isSameButForNames(other, swapped))) {
        near.add(swapped);
      }
    }

    return near;
  }
}
