package io.expertatlas.placement.solver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.SlotBounds;
import io.expertatlas.placement.Topology;
import io.expertatlas.trace.RoutingTrace;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SolversTest {
  private static final SolverConfig CONFIG = SolverConfig.DEFAULT;

  @Test
  void everySolverIsRegistered() {
    assertThat(PlacementSolvers.all().stream().map(PlacementSolver::name))
        .containsExactly(
            "assignment",
            "auto",
            "bipart",
            "direct",
            "eplb",
            "exflow-token",
            "exflow-token-cpsat",
            "greedy-load",
            "node-then-gpu",
            "pool",
            "random",
            "sweep",
            "vanilla",
            "viterbi");
    assertThatThrownBy(() -> PlacementSolvers.find("magic"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid solver: magic, one of assignment, auto, bipart, direct, eplb, exflow-token, exflow-token-cpsat, greedy-load, node-then-gpu, pool, random, sweep, vanilla, viterbi");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "auto",
        "bipart",
        "direct",
        "greedy-load",
        "node-then-gpu",
        "pool",
        "random",
        "sweep",
        "vanilla",
        "viterbi",
        "assignment"
      })
  void boundsThatNothingMeetsAreAnOutcome(String name) {
    PlacementProblem problem =
        Routes.problem(Routes.CASE_A, 1, 2).withSlots(SlotBounds.uniform(2, 0, 1));
    SolverOutcome outcome = PlacementSolvers.find(name).solve(problem, CONFIG);
    assertThat(outcome.status()).isEqualTo(SolverStatus.INFEASIBLE);
    assertThat(outcome.placement()).isEmpty();
    assertThat(outcome.note())
        .isEqualTo(
            "4 experts do not fit on 2 GPUs with 0 to 1 experts of each layer on a GPU (4 experts, 2 GPUs)");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "auto",
        "bipart",
        "direct",
        "greedy-load",
        "node-then-gpu",
        "pool",
        "random",
        "sweep",
        "vanilla",
        "viterbi"
      })
  void smallestCasesWork(String name) {
    PlacementSolver solver = PlacementSolvers.find(name);
    for (RoutingTrace trace :
        List.of(
            Routes.CASE_A.slice(0, 0),
            Routes.random(1, 5, 2, 20, 1),
            Routes.random(3, 1, 1, 20, 1),
            Routes.random(3, 2, 1, 20, 1))) {
      for (Topology topology :
          List.of(new Topology(1, 1), new Topology(1, 3), new Topology(2, 2), new Topology(3, 1))) {
        PlacementProblem problem =
            PlacementProblem.balanced(Routes.count(trace), topology, Objective.HOPS);
        SolverOutcome outcome = solver.solve(problem, CONFIG);
        assertThat(outcome.status().hasPlacement()).as(trace + " on " + topology).isTrue();
        assertThat(problem.isMetBy(outcome.placement().orElseThrow())).isTrue();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bipart", "direct", "greedy-load", "random", "sweep", "viterbi", "auto"})
  void sameSeedGivesTheSamePlan(String name) {
    PlacementProblem problem = Routes.problem(Routes.random(4, 8, 2, 300, 5), 2, 2);
    PlacementSolver solver = PlacementSolvers.find(name);
    SolverOutcome one = solver.solve(problem, CONFIG.withSeed(7));
    SolverOutcome two = solver.solve(problem, CONFIG.withSeed(7));
    assertThat(two.placement()).isEqualTo(one.placement());
    assertThat(one.seed()).isEqualTo(7);
  }

  @Test
  void aWarmStartOfAnotherClusterIsRefused() {
    PlacementProblem problem = Routes.problem(Routes.CASE_A, 1, 2);
    Placement other =
        new Placement(new Topology(2, 1), new int[][] {{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}});
    SolverOutcome outcome =
        PlacementSolvers.find("sweep").solve(problem, CONFIG.withWarmStart(other));
    assertThat(outcome.status()).isEqualTo(SolverStatus.UNSUPPORTED);
    assertThat(outcome.note())
        .isEqualTo(
            "the warm start is not a placement of 3 MoE layers x 4 experts, top-1 on 1x2 with 2 experts of each layer on every GPU");
  }

  @ParameterizedTest(name = "{0} x {1} GPUs")
  @CsvSource({"1,2", "1,4", "1,8", "2,2", "2,4", "4,2", "8,1"})
  void eightExpertsAreSolvedExactlyInAboutASecond(int nodes, int perNode) {
    PlacementProblem problem = Routes.problem(Routes.random(32, 8, 2, 3000, 11), nodes, perNode);
    SolverOutcome outcome = PlacementSolvers.find("auto").solve(problem, CONFIG);
    assertThat(outcome.status()).isEqualTo(SolverStatus.OPTIMAL);
    assertThat(outcome.note()).startsWith("viterbi, exact: ");
    assertThat(outcome.seconds()).isLessThan(5);
    for (String other : List.of("sweep", "greedy-load", "vanilla")) {
      assertThat(outcome.objective())
          .isLessThanOrEqualTo(PlacementSolvers.find(other).solve(problem, CONFIG).objective());
    }
  }

  @Test
  void autoSaysWhyItIsNotExact() {
    PlacementProblem problem = Routes.problem(Routes.random(4, 16, 1, 500, 2), 1, 4);
    SolverOutcome outcome =
        PlacementSolvers.find("auto").solve(problem, CONFIG.withTimeLimit(Duration.ofSeconds(4)));
    assertThat(outcome.solver()).isEqualTo("auto");
    assertThat(outcome.note())
        .startsWith(
            "pool; no viterbi: a layer of 16 experts on 1x4 GPUs has more than 20000 partitions");
    assertThat(outcome.seconds()).isLessThan(8);
  }

  @Test
  void heldOutGainComesFromAffinityAlone() {
    RoutingTrace trace = Routes.random(8, 8, 1, 6000, 21);
    assertThat(heldOutGain(trace)).isGreaterThan(0.3);
    assertThat(Math.abs(heldOutGain(Routes.shuffled(trace, 3)))).isLessThan(0.03);
  }

  private static double heldOutGain(RoutingTrace trace) {
    int half = trace.tokens() / 2;
    PlacementProblem problem = Routes.problem(trace.slice(0, half), 1, 4);
    RouteCounts rest = Routes.count(trace.slice(half, trace.tokens()));
    long ours = hops("viterbi", problem, rest);
    long vanilla = hops("vanilla", problem, rest);
    return 1 - ours / (double) vanilla;
  }

  private static long hops(String solver, PlacementProblem problem, RouteCounts rest) {
    Placement placement =
        PlacementSolvers.find(solver).solve(problem, CONFIG).placement().orElseThrow();
    return PlacementCost.of(rest, placement).hops();
  }

  @Test
  void incrementsEndOnTheWholeTrace() {
    RoutingTrace trace = Routes.random(4, 8, 1, 400, 4);
    List<Supplier<RouteCounts>> prefixes =
        IntStream.of(100, 200, 400)
            .<Supplier<RouteCounts>>mapToObj(n -> () -> Routes.count(trace.slice(0, n)))
            .toList();
    SolverOutcome outcome =
        Incremental.solve(
            PlacementSolvers.find("bipart"), prefixes, new Topology(1, 2), Objective.HOPS, CONFIG);
    PlacementProblem whole = Routes.problem(trace, 1, 2);
    assertThat(outcome.objective())
        .isEqualTo(PlacementSolvers.find("viterbi").solve(whole, CONFIG).objective());
    assertThatThrownBy(
            () ->
                Incremental.solve(
                    PlacementSolvers.find("bipart"),
                    List.of(),
                    new Topology(1, 2),
                    Objective.HOPS,
                    CONFIG))
        .hasMessage("Invalid increments: none");
  }

  @Test
  void configAndOutcomeAreChecked() {
    assertThatThrownBy(() -> CONFIG.withTimeLimit(Duration.ZERO))
        .hasMessage("Invalid time limit: PT0S, it must be positive");
    assertThatThrownBy(() -> CONFIG.withThreads(0))
        .hasMessage("Invalid number of threads: 0, at least 1");
    assertThatThrownBy(() -> CONFIG.withStepLimit(0))
        .hasMessage("Invalid step limit: 0, at least 1");
    assertThatThrownBy(
            () -> new SolverOutcome("x", SolverStatus.OPTIMAL, Optional.empty(), 0, 0, 0, 1, ""))
        .hasMessage("Invalid outcome of x: status optimal without a placement");
  }
}
