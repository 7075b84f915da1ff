package io.expertatlas.placement.solver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.BenchmarkRun.Key;
import io.expertatlas.placement.solver.BenchmarkRun.Point;
import io.expertatlas.placement.solver.BenchmarkSummary.Instance;
import java.time.Duration;
import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class BenchmarkSummaryTest {
  private static BenchmarkRun run(String solver, long seed, double value, Point... points) {
    return new BenchmarkRun(
        new Key(
            "d",
            10,
            5,
            new Topology(1, 4),
            Objective.HOPS,
            OptionalDouble.empty(),
            solver,
            Duration.ofMillis(2500),
            1,
            seed),
        value == 0 ? SolverStatus.UNKNOWN : SolverStatus.FEASIBLE,
        value,
        value == 0 ? 0 : 3,
        2,
        value == 0 ? OptionalDouble.empty() : OptionalDouble.of(value + 1),
        1.5,
        1.1,
        1.2,
        "",
        List.of(points));
  }

  @Test
  void seedsAreMediansAndTheBestIsOfAllSolvers() {
    BenchmarkSummary summary =
        BenchmarkSummary.of(
            List.of(
                run("a", 1, 6),
                run("b", 1, 4, new Point(0.5, 5), new Point(1, 4.03), new Point(1.5, 4)),
                run("a", 2, 5),
                run("a", 3, 9),
                run("b", 2, 5),
                run("c", 1, 0)),
            List.of());

    assertThat(summary.instances()).hasSize(1);
    Instance instance = summary.instances().get(0);
    assertThat(instance.words()).isEqualTo("d, 1x4, hops");
    assertThat(instance.best()).isEqualTo(4);
    assertThat(instance.bound()).isEqualTo(3);
    assertThat(instance.gap()).isCloseTo(0.25, within(1e-12));
    assertThat(instance.solvers().stream().map(BenchmarkSummary.Solver::name))
        .containsExactly("a@2.5s", "b@2.5s", "c@2.5s");
    BenchmarkSummary.Solver a = instance.solvers().get(0);
    assertThat(a.value()).isEqualTo(6);
    assertThat(a.worst()).isEqualTo(9);
    assertThat(a.heldOut()).hasValue(7);
    assertThat(a.typical().key().seed()).isEqualTo(1);
    assertThat(a.secondsToOnePercent()).isInfinite();
    BenchmarkSummary.Solver b = instance.solvers().get(1);
    assertThat(b.value()).isEqualTo(4.5);
    assertThat(b.typical().value()).isEqualTo(4);
    BenchmarkSummary.Solver c = instance.solvers().get(2);
    assertThat(c.solved()).isZero();
    assertThat(c.runs()).isEqualTo(1);
    assertThat(c.heldOut()).isEmpty();
  }

  @Test
  void aProvenBoundIsOfItsInstanceIfItIsAboveThoseOfTheRuns() {
    List<BenchmarkRun> runs = List.of(run("a", 1, 6), run("b", 1, 5)); // bounds of 3
    BenchmarkBound proven = bound(10, 4, "by hand");

    Instance instance =
        BenchmarkSummary.of(runs, List.of(bound(11, 5, "of others"), proven)).instances().get(0);
    assertThat(instance.bound()).isEqualTo(4);
    assertThat(instance.proof()).hasValue(proven);
    assertThat(instance.proofInWords()).isEqualTo(" (by hand, 2.5 s)");
    assertThat(instance.gap()).isCloseTo(0.2, within(1e-12));
    assertThat(instance.gap(6)).isCloseTo(1 / 3.0, within(1e-12));

    Instance weaker = BenchmarkSummary.of(runs, List.of(bound(10, 2, "weakly"))).instances().get(0);
    assertThat(weaker.bound()).isEqualTo(3);
    assertThat(weaker.proofInWords()).isEmpty();
  }

  private static BenchmarkBound bound(long tokens, double value, String method) {
    return new BenchmarkBound(
        new BenchmarkBound.Key(
            "d",
            tokens,
            new Topology(1, 4),
            Objective.HOPS,
            OptionalDouble.empty(),
            Duration.ofSeconds(3),
            1),
        value,
        method,
        2.5);
  }

  @Test
  void timeToATargetIsThatOfTheFirstPointBelowIt() {
    BenchmarkRun run = run("b", 1, 4, new Point(0.5, 5), new Point(1, 4.03));

    assertThat(run.secondsTo(5)).isEqualTo(0.5);
    assertThat(run.secondsTo(4.04)).isEqualTo(1);
    assertThat(run.secondsTo(4)).as("the result itself").isEqualTo(2);
    assertThat(run.secondsTo(3.9)).isInfinite();
  }
}
