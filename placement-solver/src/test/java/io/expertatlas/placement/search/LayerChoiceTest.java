package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LayerChoiceTest {
  private static final int LAYERS = 4;
  private static final int CANDIDATES = 3;

  /** Against all 81 choices, each renamed. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8})
  void isTheBestWithinTheCap(int seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int nodes = 1 + seed % 2;
    PlacementProblem problem =
        Routes.problem(Routes.random(LAYERS, 8, 2, 300, seed), nodes, 4 / nodes);
    Chain hops =
        Chain.of(problem.withObjective(Objective.HOPS).withCaps(Caps.NONE), new Prices(1, 0, 0, 0));
    List<List<int[]>> candidates = new ArrayList<>();
    long[][] costs = new long[LAYERS][CANDIDATES];
    long cheapest = 0;
    for (int layer = 0; layer < LAYERS; layer++) {
      List<int[]> own = new ArrayList<>();
      long least = Long.MAX_VALUE;
      for (int i = 0; i < CANDIDATES; i++) {
        own.add(Starts.random(hops.layer(layer), random)[0]);
        costs[layer][i] = random.nextInt(100);
        least = Math.min(least, costs[layer][i]);
      }

      candidates.add(own);
      cheapest += least;
    }

    LayerChoice choice = new LayerChoice(hops, candidates, costs, () -> false);
    for (long cap : new long[] {0, cheapest, cheapest + 20, cheapest + 60, Long.MAX_VALUE / 2}) {
      long best = Long.MAX_VALUE;
      for (int code = 0; code < 81; code++) {
        int[][] map = pick(candidates, code);
        if (cost(map, candidates, costs) <= Math.max(cap, cheapest)) {
          best = Math.min(best, hops(problem, hops, map));
        }
      }

      int[][] chosen = choice.within(cap);
      assertThat(cost(chosen, candidates, costs)).isLessThanOrEqualTo(Math.max(cap, cheapest));
      assertThat(hops(problem, hops, chosen)).isEqualTo(best);
    }
  }

  /** More than the units that are counted in: within the cap all the same. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void largeCostsAreRoundedUp(int seed) {
    SplittableRandom random = new SplittableRandom(seed);
    PlacementProblem problem = Routes.problem(Routes.random(LAYERS, 8, 2, 300, seed), 1, 4);
    Chain hops =
        Chain.of(problem.withObjective(Objective.HOPS).withCaps(Caps.NONE), new Prices(1, 0, 0, 0));
    List<List<int[]>> candidates = new ArrayList<>();
    long[][] costs = new long[LAYERS][CANDIDATES];
    for (long[] layer : costs) {
      candidates.add(List.of(map(hops, random), map(hops, random), map(hops, random)));
      Arrays.setAll(layer, i -> i == 0 ? 0 : random.nextLong(1L << 40));
    }

    LayerChoice choice = new LayerChoice(hops, candidates, costs, () -> false);
    long before = Long.MAX_VALUE;
    for (int share = 0; share <= 10; share++) {
      long cap = ((long) LAYERS << 40) / 10 * share;
      int[][] chosen = choice.within(cap);
      assertThat(cost(chosen, candidates, costs)).isLessThanOrEqualTo(cap);
      before = share == 0 || share == 10 ? before : Math.min(before, hops(problem, hops, chosen));
    }

    assertThat(hops(problem, hops, choice.within((long) LAYERS << 40))).isLessThanOrEqualTo(before);
    assertThat(choice.within(0)).isEqualTo(pick(candidates, 0));
  }

  private static int[] map(Chain hops, SplittableRandom random) {
    return Starts.random(hops.layer(0), random)[0];
  }

  private static int[][] pick(List<List<int[]>> candidates, int code) {
    int[][] map = new int[LAYERS][];
    int rest = code;
    for (int layer = 0; layer < LAYERS; layer++) {
      map[layer] = candidates.get(layer).get(rest % CANDIDATES);
      rest /= CANDIDATES;
    }

    return map;
  }

  private static long hops(PlacementProblem problem, Chain hops, int[][] map) {
    return hops.cost(Relabel.of(problem, map));
  }

  private static long cost(int[][] map, List<List<int[]>> candidates, long[][] costs) {
    long cost = 0;
    for (int layer = 0; layer < LAYERS; layer++) {
      for (int i = 0; i < CANDIDATES; i++) {
        if (Arrays.equals(map[layer], candidates.get(layer).get(i))) {
          cost += costs[layer][i];
          break;
        }
      }
    }

    return cost;
  }
}
