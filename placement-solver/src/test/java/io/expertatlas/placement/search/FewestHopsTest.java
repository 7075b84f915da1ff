package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import java.time.Duration;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class FewestHopsTest {
  private static final SolverConfig CONFIG =
      SolverConfig.DEFAULT.withTimeLimit(Duration.ofMinutes(2)).withStepLimit(200);

  /** Tokens of one choice touch one GPU anyhow, and one swap leads to every partition. */
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.PoolSearchTest#few")
  void whereAllFanoutIsEqualTheFewestHopsAreFound(long seed) {
    int layers = 1 + (int) (seed & 3);
    PlacementProblem hops = Routes.problem(Routes.random(layers, 4, 1, 200, seed), 1, 2);
    PlacementProblem fanout = hops.withObjective(Objective.FANOUT);

    SolverOutcome found = new PoolSolver().solve(fanout, CONFIG.withSeed(seed));

    long least = new ViterbiSolver().solve(hops, CONFIG).objective();
    assertThat(cost(hops, found.placement().orElseThrow()).hops()).isEqualTo(least);
    assertThat(found.objective()).isEqualTo(200L * layers);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.PoolSearchTest#few")
  void theChoiceStaysWithinItsRoomAndCapsAndHopsNoMoreThanTheCheapest(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int nodes = 1 + random.nextInt(2);
    PlacementProblem problem =
        Routes.problem(Routes.random(4, 8, 3, 300, seed), nodes, 4 / nodes)
            .withObjective(Objective.FANOUT);
    if (random.nextBoolean()) {
      problem = problem.withCaps(Caps.NONE.withLoad(280, 280, 280, 280));
    }

    Chain chain = Chain.of(problem);
    int[][] start = LoadBalance.of(chain, random);
    FanoutSearch search = new FanoutSearch(chain, seed, 100, false /* asserting */, () -> false);
    int[][] cheapest;
    try (Workers workers = new Workers("test", 1)) {
      cheapest = search.run(start, 2, workers, better -> {});
    }

    long before = Long.MAX_VALUE;
    FewestHops choice = new FewestHops(problem, chain, search, () -> false);
    for (long room = 0; room <= 60; room += 20) {
      int[][] chosen = choice.of(cheapest, room);
      assertThat(chain.cost(chosen)).isLessThanOrEqualTo(chain.cost(cheapest) + room);
      assertThat(chain.isMetBy(chosen)).isEqualTo(chain.isMetBy(cheapest)).isTrue();
      assertThat(choice.hops(chosen)).isLessThanOrEqualTo(before);
      before = Math.min(choice.hops(Relabel.of(problem, cheapest)), choice.hops(chosen));
    }

    FewestHops late = new FewestHops(problem, chain, search, () -> true);
    assertThat(late.of(cheapest, 60)).isEqualTo(Relabel.of(problem, cheapest));
  }

  @Test
  void aStartThatWasGivenIsNotMadeWorse() {
    PlacementProblem problem =
        Routes.problem(Routes.random(3, 8, 2, 300, 5), 1, 4).withObjective(Objective.FANOUT);
    Placement optimum = new ViterbiSolver().solve(problem, CONFIG).placement().orElseThrow();

    SolverOutcome found = new PoolSolver().solve(problem, CONFIG.withWarmStart(optimum));

    assertThat(found.objective()).isEqualTo(Objective.FANOUT.total(cost(problem, optimum)));
    assertThat(cost(problem, found.placement().orElseThrow()).hops())
        .isLessThanOrEqualTo(cost(problem, optimum).hops());
  }

  private static PlacementCost cost(PlacementProblem problem, Placement placement) {
    return PlacementCost.of(problem.counts(), placement);
  }
}
