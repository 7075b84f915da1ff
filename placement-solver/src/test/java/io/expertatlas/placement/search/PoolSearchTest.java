package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.trace.ModelShape;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class PoolSearchTest {
  /** A problem of up to 4 layers, 1 to 9 experts and up to 3 x 3 GPUs, divisible or not. */
  private static PlacementProblem problem(SplittableRandom random, long seed) {
    int experts = 1 + random.nextInt(9);
    int topK = 1 + random.nextInt(Math.min(3, experts));
    return Routes.problem(
        Routes.random(1 + random.nextInt(4), experts, topK, 60, seed),
        1 + random.nextInt(3),
        1 + random.nextInt(3));
  }

  /** The same GPUs with other nodes or costs of hops. */
  private static Topology cluster(Topology topology, SplittableRandom random) {
    int gpus = topology.gpus();
    switch (random.nextInt(4)) {
      case 0:
        return topology;
      case 1:
        return topology.withHopCosts(2, 5);
      case 2:
        return gpus == 1 ? topology : Topology.ofNodes(1, gpus - 1);
      default:
        int[][] costs = new int[gpus][gpus];
        for (int from = 0; from < gpus; from++) {
          for (int to = 0; to < from; to++) {
            costs[from][to] = 1 + random.nextInt(7);
            costs[to][from] = costs[from][to];
          }
        }

        return topology.withHopCosts(costs);
    }
  }

  private static Chain chain(SplittableRandom random, long seed) {
    return Chain.of(problem(random, seed));
  }

  /** Hops, fan-out and caps on load, all in one. */
  private static Chain mixedChain(SplittableRandom random, long seed) {
    PlacementProblem problem = problem(random, seed);
    long[] cap = random.longs(problem.shape().layers(), 10, 80).toArray();
    Prices prices = new Prices(random.nextInt(3), random.nextInt(3), random.nextInt(3), 0);
    Topology cluster = cluster(problem.topology(), random);
    return Chain.of(
        PlacementProblem.balanced(problem.counts(), cluster, Objective.HOPS)
            .withCaps(Caps.NONE.withLoad(cap)),
        prices);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everyChangeCostsWhatItWasSaidToCost(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Chain chain = mixedChain(random, seed);
    AnnealedMap map = new AnnealedMap(new PairCounts(chain), true /* asserting */);
    map.reset(Starts.random(chain, random));
    assertThat(map.cost()).isEqualTo(chain.cost(map.copy()));
    for (int change = 0; change < 40; change++) {
      int layer = random.nextInt(chain.layers());
      int one = random.nextInt(chain.size(layer));
      int other = random.nextInt(chain.size(layer));
      int to = random.nextInt(chain.parts().gpus());
      long before = map.cost();
      long excessBefore = map.excess();
      long rise = 0;
      long excess = 0;
      if (change % 2 == 0 && map.part(layer, one) != map.part(layer, other)) {
        rise = map.swapRise(layer, one, other);
        excess = map.swapExcess(layer, one, other);
        map.swap(layer, one, other);
      } else if (change % 2 == 1 && map.mayMove(layer, one, to)) {
        rise = map.moveRise(layer, one, to);
        excess = map.moveExcess(layer, one, to);
        map.move(layer, one, to);
      }

      assertThat(map.cost()).isEqualTo(before + rise);
      assertThat(map.excess()).isEqualTo(excessBefore + excess);
      assertThat(chain.cost(map.copy())).isEqualTo(map.cost());
      assertThat(chain.isMetBy(map.copy())).isEqualTo(map.excess() == 0);
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void aScanFindsTheSwapsThatStayWithinTheirThresholds(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    PlacementProblem problem = problem(random, seed);
    Chain chain =
        Chain.of(
            PlacementProblem.balanced(
                problem.counts(), cluster(problem.topology(), random), Objective.HOPS));
    AnnealedMap map = new AnnealedMap(new PairCounts(chain), false /* asserting */);
    map.reset(Starts.random(chain, random));
    assertThat(map.isHopsAlone()).isTrue();
    for (int change = 0; change < 20; change++) {
      int layer = random.nextInt(chain.layers());
      int one = random.nextInt(chain.size(layer));
      int first = random.nextInt(chain.size(layer) + 1);
      int[] thresholds = random.ints(chain.size(layer) + 5, 0, 60).toArray();
      int found = map.firstWithin(layer, one, first, thresholds, 5);
      int expected = first;
      while (expected < chain.size(layer)
          && (map.part(layer, expected) == map.part(layer, one)
              || swapped(chain, map.copy(), layer, one, expected) - map.cost()
                  > thresholds[5 + expected])) {
        expected++;
      }

      assertThat(found).isEqualTo(expected);
      if (found < chain.size(layer)) {
        map.swap(layer, one, found);
      }

      int to = random.nextInt(chain.parts().gpus());
      if (map.mayMove(layer, one, to)) {
        map.move(layer, one, to);
      }
    }
  }

  private static long swapped(Chain chain, int[][] map, int layer, int one, int other) {
    int part = map[layer][one];
    map[layer][one] = map[layer][other];
    map[layer][other] = part;
    return chain.cost(map);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void thePoolIsNeverWorseThanWhatWasAdded(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Chain chain = chain(random, seed);
    LayerPool pool = new LayerPool(chain);
    long best = Long.MAX_VALUE;
    for (int i = 0; i < 6; i++) {
      int[][] map = Starts.random(chain, random);
      best = Math.min(best, chain.cost(map));
      pool.add(map);
      pool.add(map); // again: nothing new
      long combined = chain.cost(pool.best());
      assertThat(combined).isLessThanOrEqualTo(best);
      assertThat(chain.isMetBy(pool.best())).isTrue();
      assertThat(pool.size()).isBetween(1, i + 1);
      best = combined;
    }
  }

  @ParameterizedTest(name = "{0} experts on {1} x {2}")
  @CsvSource({"6,1,2", "6,1,3", "6,2,3", "4,2,1", "5,1,2", "8,2,2"})
  void theWholePoolIsTheOptimum(int experts, int nodes, int perNode) {
    PlacementProblem problem = Routes.problem(Routes.random(3, experts, 1, 200, 7), nodes, perNode);
    Chain chain = Chain.of(problem);
    LayerPool pool = new LayerPool(chain);
    for (short[] partition : Partitions.of(chain, 0, 1000).orElseThrow()) {
      int[][] map = new int[3][experts];
      for (int[] layer : map) {
        for (int i = 0; i < experts; i++) {
          layer[i] = partition[i];
        }
      }

      pool.add(map);
    }

    int[][] optimum = Viterbi.of(chain, () -> false).orElseThrow().solve().orElseThrow();
    assertThat(chain.cost(pool.best())).isEqualTo(chain.cost(optimum));
  }

  @Test
  void namesOfPartsDoNotCount() {
    Chain chain = Chain.of(Routes.problem(Routes.random(1, 8, 1, 50, 1), 2, 2));
    LayerPool pool = new LayerPool(chain);
    pool.add(new int[][] {{0, 0, 1, 1, 2, 2, 3, 3}});
    pool.add(new int[][] {{3, 3, 2, 2, 1, 1, 0, 0}}); // GPUs and nodes renamed
    assertThat(pool.size()).isEqualTo(1);
    pool.add(new int[][] {{0, 0, 2, 2, 1, 1, 3, 3}}); // other GPUs share a node
    assertThat(pool.size()).isEqualTo(2);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.PoolSearchTest#few")
  void smallProblemsAreSolvedToTheOptimum(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Chain chain = chain(random, seed);
    int[][] optimum = Viterbi.of(chain, () -> false).orElseThrow().solve().orElseThrow();
    int[][] start = Starts.random(chain, random);
    int[][] found;
    try (Workers workers = new Workers("test", 1)) {
      found =
          new PoolSearch(chain, seed, Long.MAX_VALUE, false /* asserting */, () -> false, map -> {})
              .run(start, 6, workers);
    }

    assertThat(chain.isMetBy(found)).isTrue();
    assertThat(chain.cost(found)).isEqualTo(chain.cost(optimum));
  }

  static java.util.stream.Stream<Long> few() {
    return io.expertatlas.trace.Cases.seeded(20);
  }

  @Test
  void theSameSeedGivesTheSamePlanWhateverTheThreads() {
    PlacementProblem problem = Routes.problem(Routes.random(3, 10, 2, 300, 3), 2, 2);
    SolverOutcome once = new PoolSolver().solve(problem, config(5, 1));
    SolverOutcome again = new PoolSolver().solve(problem, config(5, 3));
    assertThat(again.placement()).isEqualTo(once.placement());
    assertThat(once.status()).isIn(SolverStatus.FEASIBLE, SolverStatus.OPTIMAL);
    assertThat(once.bound()).isLessThanOrEqualTo(once.objective());
  }

  private static SolverConfig config(long seed, int threads) {
    return SolverConfig.DEFAULT
        .withTimeLimit(Duration.ofMinutes(2))
        .withSeed(seed)
        .withThreads(threads);
  }

  @ParameterizedTest(name = "{0}, {1} layers, {2} steps, capped: {3}")
  @CsvSource({
    "hops,5,700,false",
    "hops,5,1500,true",
    "hops,11,3000,false", // enough layers for wide windows
    "hops,11,3000,true",
    "fanout,5,500,false",
    "fanout,5,900,true",
    "crossings,5,61,false"
  })
  void theStepLimitGivesTheSamePlanOnAnyNumberOfThreads(
      String objective, int layers, long steps, boolean capped) {
    PlacementProblem problem =
        Routes.problem(Routes.random(layers, 12, 3, 300, 3), 2, 2)
            .withObjective(Objective.ofWord(objective));
    if (capped) {
      problem =
          problem.withCaps(
              Caps.NONE.withLoad(LongStream.generate(() -> 260).limit(layers).toArray()));
    }

    SolverConfig config = config(5, 1).withStepLimit(steps);
    SolverOutcome once = new PoolSolver().solve(problem, config);
    assertThat(once.placement()).isPresent();
    for (int threads = 2; threads <= 5; threads += 3) {
      SolverOutcome again = new PoolSolver().solve(problem, config.withThreads(threads));
      assertThat(again.placement()).isEqualTo(once.placement());
    }

    SolverOutcome longer = new PoolSolver().solve(problem, config.withStepLimit(10 * steps));
    assertThat(longer.objective()).isLessThanOrEqualTo(once.objective());
  }

  @Test
  void aPlantedPlacementIsFound() {
    Planted planted = Planted.draw(new ModelShape(10, 32, 3), new Topology(4, 4), 4000, 5);
    PlacementProblem problem =
        PlacementProblem.balanced(planted.counts(), new Topology(4, 4), Objective.HOPS);
    SolverOutcome found = new PoolSolver().solve(problem, config(1, 1).withStepLimit(16_000));
    assertThat(found.objective())
        .isLessThanOrEqualTo(
            Objective.HOPS.total(PlacementCost.of(planted.counts(), planted.placement())));
  }

  @Test
  void aStoppedSearchGivesItsStart() {
    PlacementProblem problem = Routes.problem(Routes.random(4, 8, 1, 300, 3), 1, 4);
    SolverOutcome stopped =
        new PoolSolver().solve(problem, SolverConfig.DEFAULT.withStop(() -> true));
    assertThat(stopped.status()).isEqualTo(SolverStatus.FEASIBLE);
    assertThat(stopped.placement().orElseThrow().toArray()).isEqualTo(Starts.vanilla(problem));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void loadAloneIsNeverWorseThanEplb(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int gpus = 1 + random.nextInt(4);
    int experts = gpus * (1 + random.nextInt(6));
    PlacementProblem problem =
        Routes.problem(Routes.random(3, experts, Math.min(3, experts), 500, seed), 1, gpus)
            .withObjective(Objective.LOAD);
    SolverOutcome ours = new PoolSolver().solve(problem, SolverConfig.DEFAULT);
    SolverOutcome eplb = new EplbSolver().solve(problem, SolverConfig.DEFAULT);
    assertThat(ours.objective()).isLessThanOrEqualTo(eplb.objective());
    assertThat(ours.bound()).isLessThanOrEqualTo(ours.objective());
  }

  @Test
  void capsThatNothingMeetsAreSaidWithTheNumbers() {
    PlacementProblem problem =
        Routes.problem(
            Routes.trace(4, new int[][] {{0}, {0}, {0}, {0}, {1}, {1}, {1}, {2}, {2}, {3}}), 1, 2);
    SolverOutcome outcome =
        new PoolSolver().solve(problem.withCaps(Caps.NONE.withLoad(4)), SolverConfig.DEFAULT);
    assertThat(outcome.status()).isEqualTo(SolverStatus.INFEASIBLE);
    assertThat(outcome.note())
        .isEqualTo(
            "layer 0: a GPU has at least 5 choices, 5 in the best placement found, the cap is 4");
    SolverOutcome met =
        new PoolSolver().solve(problem.withCaps(Caps.NONE.withLoad(5)), SolverConfig.DEFAULT);
    assertThat(met.status().hasPlacement()).isTrue();
  }

  @Test
  void aWarmStartIsNeverMadeWorse() {
    PlacementProblem problem = Routes.problem(Routes.random(4, 8, 1, 300, 3), 1, 4);
    SolverOutcome exact = new ViterbiSolver().solve(problem, SolverConfig.DEFAULT);
    SolverOutcome pooled =
        new PoolSolver()
            .solve(
                problem,
                SolverConfig.DEFAULT
                    .withTimeLimit(Duration.ofMillis(1))
                    .withWarmStart(exact.placement().orElseThrow()));
    assertThat(pooled.objective()).isEqualTo(exact.objective());
    assertThat(problem.topology()).isEqualTo(new Topology(1, 4));
  }
}
