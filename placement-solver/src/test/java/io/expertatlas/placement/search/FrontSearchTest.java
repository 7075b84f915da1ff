package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.ExhaustiveSolver;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.search.FrontSearch.Capped;
import io.expertatlas.placement.solver.Front;
import io.expertatlas.placement.solver.Front.Costs;
import io.expertatlas.placement.solver.Front.Point;
import io.expertatlas.placement.solver.SolverConfig;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class FrontSearchTest {
  private static final List<Double> CAPS = List.of(1.0, 1.1, 1.3, Double.POSITIVE_INFINITY);

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.AimedSolverTest#forty")
  void looserCapsAreNeverWorseAndEachIsTheBestWithinIt(long seed) {
    PlacementProblem problem = Routes.problem(Routes.random(3, 4, 2, 60, seed), 1, 2);
    for (Objective capped : List.of(Objective.LOAD, Objective.FANOUT)) {
      List<Capped> seen = new ArrayList<>();
      List<Capped> front =
          new FrontSearch(new ExhaustiveSolver(), Duration.ZERO)
              .run(problem, capped, CAPS, SolverConfig.DEFAULT, seen::add);
      assertThat(seen.stream().map(one -> one.outcome().placement()))
          .containsExactlyElementsOf(front.stream().map(one -> one.outcome().placement()).toList());
      long before = Long.MAX_VALUE;
      for (Capped one : front) {
        assertThat(one.outcome().objective()).isLessThanOrEqualTo(before);
        before = one.outcome().objective();
      }

      assertThat(before)
          .isEqualTo(new ExhaustiveSolver().solve(problem, SolverConfig.DEFAULT).objective());
      long least =
          new ExhaustiveSolver()
              .solve(problem.withObjective(capped), SolverConfig.DEFAULT)
              .objective();
      PlacementCost tightest =
          PlacementCost.of(problem.counts(), front.get(0).outcome().placement().orElseThrow());
      assertThat(capped.total(tightest)).isEqualTo(least);
    }
  }

  private static Point point(double cap, double hops, double load) {
    return new Point(cap, new Costs(hops, hops, 1, 0, load, load), 0, 1, "p" + cap);
  }

  @Test
  void beatenPointsAreLeftOut() {
    Costs reference = new Costs(9, 9, 2, 0, 1, 1);
    Front front =
        new Front(
            "x",
            Objective.HOPS,
            Objective.LOAD,
            reference,
            List.of(
                point(1, 5, 1.0),
                point(1.1, 5, 1.05), // as many hops, more load
                point(1.2, 4, 1.1),
                point(1.3, 4, 1.1), // the same again
                point(1.4, 3, 1.3)));
    assertThat(front.withoutBeaten().points().stream().map(Point::cap))
        .containsExactly(1.0, 1.2, 1.4);
    assertThat(front.named("y").name()).isEqualTo("y");
    assertThat(point(Double.POSITIVE_INFINITY, 1, 1).capInWords()).isEqualTo("none");
    assertThatThrownBy(() -> reference.of(Objective.COPIES))
        .hasMessage("Invalid objective of a front: copies, one of hops, crossings, fanout, load");
  }

  @Test
  void aSolverThatCannotSaysWhy() {
    PlacementProblem problem = Routes.problem(Routes.random(3, 4, 2, 60, 1), 1, 2);
    assertThatThrownBy(
            () ->
                new FrontSearch(new VanillaSolver(), Duration.ZERO)
                    .run(
                        problem.withCaps(
                            io.expertatlas.placement.Caps.NONE.withTotal(Objective.HOPS, 0)),
                        Objective.LOAD,
                        List.of(1.1),
                        SolverConfig.DEFAULT,
                        each -> {}))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith(
            "Cannot place for hops, within 1.1 times the least load: unknown, ");
  }
}
