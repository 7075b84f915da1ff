package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.ExhaustiveSolver;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.time.Duration;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TotalsSearchTest {
  private static final SolverConfig CONFIG =
      SolverConfig.DEFAULT.withTimeLimit(Duration.ofSeconds(5));

  private static SolverOutcome solve(PlacementProblem problem) {
    return TotalsSearch.solve(
        "auto", problem, CONFIG, new Placement(problem.topology(), Starts.vanilla(problem)));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.AimedSolverTest#forty")
  void capsHoldTheBoundHoldsAndNoPlacementIsBelow(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = random.nextBoolean() ? new Topology(1, 2) : new Topology(2, 1);
    PlacementProblem free =
        PlacementProblem.balanced(
            Routes.count(Routes.random(3, 4, 2, 60, seed)), topology, Objective.HOPS);
    Objective[] kinds = {Objective.HOPS, Objective.FANOUT, Objective.LOAD};
    Objective minimised = kinds[random.nextInt(3)];
    Objective capped = minimised == Objective.HOPS ? Objective.FANOUT : Objective.HOPS;
    long least = new ExhaustiveSolver().solve(free.withObjective(capped), CONFIG).objective();
    long cap = (long) (least * (1 + random.nextDouble() / 2));
    PlacementProblem problem =
        free.withObjective(minimised).withCaps(Caps.NONE.withTotal(capped, cap));
    assertThat(TotalsSearch.knows(problem)).isTrue();
    SolverOutcome outcome = solve(problem);
    long optimum = new ExhaustiveSolver().solve(problem, CONFIG).objective();
    assertThat(outcome.bound()).isLessThanOrEqualTo(optimum);
    if (outcome.placement().isPresent()) {
      assertThat(problem.isMetBy(outcome.placement().get())).isTrue();
      assertThat(outcome.objective()).isGreaterThanOrEqualTo(optimum);
      assertThat(outcome.status() == SolverStatus.OPTIMAL)
          .isEqualTo(outcome.bound() == outcome.objective());
    } else {
      assertThat(outcome.status()).isEqualTo(SolverStatus.UNKNOWN);
      assertThat(cap).isLessThan(least + least / 10 + 3);
    }
  }

  @Test
  void aLooseCapGivesTheOptimumWithoutIt() {
    PlacementProblem free = Routes.problem(Routes.random(4, 8, 2, 300, 3), 1, 4);
    PlacementProblem loose =
        free.withCaps(Caps.NONE.withTotal(Objective.FANOUT, Long.MAX_VALUE - 1));
    assertThat(solve(loose).objective())
        .isEqualTo(new ViterbiSolver().solve(free, CONFIG).objective());
  }

  @Test
  void whatIsOutOfReachIsSaidWithTheNumbers() {
    PlacementProblem problem =
        Routes.problem(Routes.random(4, 8, 2, 300, 3), 1, 4)
            .withCaps(Caps.NONE.withTotal(Objective.FANOUT, 7));
    SolverOutcome outcome = solve(problem);
    assertThat(outcome.status()).isEqualTo(SolverStatus.UNKNOWN);
    assertThat(outcome.note())
        .startsWith("no placement within the caps was found; of the last one, total fanout is ")
        .endsWith(", at most 7");
  }
}
