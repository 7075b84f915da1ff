package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class SearchTest {
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void assignmentIsTheBestPermutation(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int n = 1 + random.nextInt(6);
    long[] cost = random.longs((long) n * n, -50, 50).toArray();
    int[] columnOf = new int[n];
    long sum = new Assignment(n).minimize(cost, columnOf);
    assertThat(sum).isEqualTo(best(cost, n, 0, 0));
    assertThat(Arrays.stream(columnOf).distinct().count()).isEqualTo(n);
  }

  private static long best(long[] cost, int n, int row, int used) {
    if (row == n) {
      return 0;
    }

    long best = Long.MAX_VALUE;
    for (int column = 0; column < n; column++) {
      if ((used >> column & 1) == 0) {
        best = Math.min(best, cost[row * n + column] + best(cost, n, row + 1, used | 1 << column));
      }
    }

    return best;
  }

  @Test
  @Timeout(60)
  void partitionsUnderACapThatHardlyAnyMeetsAreNotLookedForWithoutEnd() {
    PlacementProblem problem = Routes.problem(Routes.random(2, 64, 6, 2000, 1), 1, 4);
    long even = 2000 * 6 / 4;
    SolverOutcome outcome =
        new ViterbiSolver()
            .solve(problem.withCaps(Caps.NONE.withLoad(even, even)), SolverConfig.DEFAULT);

    assertThat(outcome.status()).isEqualTo(SolverStatus.UNSUPPORTED);
    assertThat(outcome.note())
        .isEqualTo(
            "a layer of 64 experts on 1x4 GPUs has more than 20000 partitions, or too few of those"
                + " tried are within the cap");
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void noSwapAndNoMoveEvensABalancedLayer(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 1 + random.nextInt(12);
    PlacementProblem problem =
        Routes.problem(
            Routes.random(1, experts, 1, random.nextInt(60), seed),
            1 + random.nextInt(2),
            1 + random.nextInt(3));
    Chain chain = Chain.of(problem.withObjective(Objective.LOAD));

    int[] map = LoadBalance.ofLayer(chain, 0, random);

    long[] load = new long[chain.parts().gpus()];
    int[] held = new int[load.length];
    for (int expert = 0; expert < experts; expert++) {
      load[map[expert]] += chain.load(0, expert);
      held[map[expert]]++;
    }

    for (int one = 0; one < experts; one++) {
      long own = chain.load(0, one);
      int from = map[one];
      for (int other = 0; other < experts; other++) {
        long moved = own - chain.load(0, other);
        assertThat(moved > 0 && moved < load[from] - load[map[other]])
            .as("swap of %d and %d evens %s", one, other, Arrays.toString(map))
            .isFalse();
      }

      for (int to = 0; to < load.length; to++) {
        boolean hasRoom = held[from] > chain.least(0, from) && held[to] < chain.most(0, to);
        assertThat(hasRoom && own > 0 && own < load[from] - load[to])
            .as("move of %d to %d evens %s", one, to, Arrays.toString(map))
            .isFalse();
      }
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void deltasEqualTheCostFromScratch(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    PlacementProblem problem =
        Routes.problem(
            Routes.random(1 + random.nextInt(4), 7, 1, 60, seed),
            1 + random.nextInt(3),
            1 + random.nextInt(3));
    Chain chain = Chain.of(problem);
    DeltaCost state = new DeltaCost(chain, Starts.random(chain, random), true /* asserting */);
    for (int move = 0; move < 20; move++) {
      int layer = random.nextInt(chain.layers());
      int one = random.nextInt(7);
      int other = random.nextInt(7);
      long before = state.cost();
      if (one != other) {
        long delta = state.swapDelta(layer, one, other);
        state.swap(layer, one, other); // asserts
        assertThat(state.cost()).isEqualTo(before + delta);
      }
    }

    assertThat(chain.cost(state.map())).isEqualTo(state.cost());
  }

  @Test
  void aCorruptCostIsNamed() {
    Chain chain = Chain.of(Routes.problem(Routes.CASE_A, 1, 2));
    int[][] map = {{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}};
    DeltaCost state = new DeltaCost(chain, map, true /* asserting */);
    assertThatThrownBy(() -> state.assign(1, new int[] {1, 1, 0, 0}, 99))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Corrupt cost after assignment of layer 1: 104 kept, 3 from scratch");
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void sweepsNeverRise(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 2 + random.nextInt(9);
    PlacementProblem problem =
        Routes.problem(
            Routes.random(4, experts, 1, 80, seed), 1 + random.nextInt(2), 1 + random.nextInt(4));
    Chain chain = Chain.of(problem);
    int[][] start = Starts.random(chain, random);
    assertThat(chain.isMetBy(start)).isTrue();
    int[][] end = new Sweeps(chain, () -> false, true /* asserting */).improve(start);
    assertThat(chain.cost(end)).isLessThanOrEqualTo(chain.cost(start));
    assertThat(chain.isMetBy(end)).isTrue();
    assertThat(GapBound.of(chain)).isLessThanOrEqualTo(chain.cost(end));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void heaviestSubgraphIsTheBestOfAll(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int from = 1 + random.nextInt(4);
    int to = 1 + random.nextInt(4);
    int after = 1 + random.nextInt(to);
    int before = 1 + random.nextInt(from);
    long[] weights = random.longs((long) from * to, 0, 9).toArray();
    int[][] bounds = {{9}, {9}};
    Chain chain =
        new Chain(new Topology(1, 1), new int[] {from, to}, new long[][] {weights}, bounds, bounds);
    long best = 0;
    for (int chosen = 0; chosen < 1 << from * to; chosen++) {
      int[] rows = new int[from];
      int[] columns = new int[to];
      long sum = 0;
      for (int pair = 0; pair < from * to; pair++) {
        if ((chosen >> pair & 1) == 1) {
          rows[pair / to]++;
          columns[pair % to]++;
          sum += weights[pair];
        }
      }

      boolean fits =
          Arrays.stream(rows).allMatch(d -> d <= after)
              && Arrays.stream(columns).allMatch(d -> d <= before);
      best = fits ? Math.max(best, sum) : best;
    }

    assertThat(GapBound.heaviestSubgraph(chain, 0, after, before)).isEqualTo(best);
    assertThat(GapBound.topSums(chain, 0, after, true)).isGreaterThanOrEqualTo(best);
    assertThat(GapBound.topSums(chain, 0, before, false)).isGreaterThanOrEqualTo(best);
  }

  @ParameterizedTest(name = "{0} experts on {1} x {2}")
  @CsvSource({
    "8,1,2,35",
    "8,1,4,105",
    "8,1,8,1",
    "8,2,2,315",
    "8,2,4,35",
    "8,8,1,1",
    "16,1,2,6435",
    "3,2,2,3",
    "5,1,2,10",
    "1,1,1,1"
  })
  void partitionsAreCounted(int experts, int nodes, int perNode, int count) {
    Chain chain = Chain.of(Routes.problem(Routes.random(1, experts, 1, 5, 1), nodes, perNode));
    assertThat(Viterbi.of(chain, () -> false).orElseThrow().states()).isEqualTo(count);
  }

  @Test
  void tooManyPartitionsAreSaid() {
    PlacementProblem problem = Routes.problem(Routes.random(2, 16, 1, 5, 1), 1, 4);
    assertThat(
            new ViterbiSolver()
                .solve(problem, io.expertatlas.placement.solver.SolverConfig.DEFAULT)
                .note())
        .isEqualTo("a layer of 16 experts on 1x4 GPUs has more than 20000 partitions");
  }

  @Test
  void greedyLoadIsTheLongestFirst() {
    PlacementProblem problem =
        Routes.problem(
            Routes.trace(4, new int[][] {{0}, {0}, {0}, {0}, {1}, {1}, {1}, {2}, {2}, {3}}), 1, 2);
    assertThat(
            new GreedyLoadSolver()
                .solve(problem, io.expertatlas.placement.solver.SolverConfig.DEFAULT)
                .placement()
                .orElseThrow()
                .toArray())
        .isEqualTo(new int[][] {{0, 1, 1, 0}});
  }
}
