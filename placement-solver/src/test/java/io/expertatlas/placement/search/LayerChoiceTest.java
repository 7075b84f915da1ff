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

  /** Against all 81 choices, each renamed. A price reaches the corners of the front alone. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8})
  void staysWithinTheCapAndIsTheBestWithoutOne(int seed) {
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

    LayerChoice choice = new LayerChoice(hops, candidates, costs);
    long best = Long.MAX_VALUE;
    for (int code = 0; code < 81; code++) {
      best = Math.min(best, hops(problem, hops, pick(candidates, code)));
    }

    assertThat(hops(problem, hops, choice.within(Long.MAX_VALUE))).isEqualTo(best);
    assertThat(cost(choice.within(cheapest), candidates, costs)).isEqualTo(cheapest);
    long before = Long.MAX_VALUE;
    for (long cap = cheapest; cap < cheapest + 200; cap += 20) {
      int[][] chosen = choice.within(cap);
      assertThat(cost(chosen, candidates, costs)).isLessThanOrEqualTo(cap);
      assertThat(hops(problem, hops, chosen)).isLessThanOrEqualTo(before);
      before = hops(problem, hops, chosen);
    }
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
