package io.expertatlas.placement.ortools;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.BruteForce;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.GapBound;
import io.expertatlas.placement.search.SweepSolver;
import io.expertatlas.placement.search.Viterbi;
import io.expertatlas.placement.search.ViterbiSolver;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.trace.Cases;
import io.expertatlas.trace.RoutingTrace;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ExactSolversTest {
  private static final SolverConfig CONFIG = SolverConfig.DEFAULT;

  static Stream<Long> sixty() {
    return Cases.seeded(60);
  }

  @ParameterizedTest(name = "{0} x {1} GPUs")
  @CsvSource({"1,2,216,1,2,0", "1,4,13824,3,96,6", "2,2,13824,4,16,10"})
  void goldenCaseA(int nodes, int perNode, long tried, long best, int count, long mean) {
    PlacementProblem problem = Routes.problem(Routes.CASE_A, nodes, perNode);
    BruteForce.Result brute = BruteForce.of(Chain.of(problem));
    assertThat(brute.tried()).isEqualTo(tried);
    assertThat(brute.best()).isEqualTo(best);
    assertThat(brute.count()).isEqualTo(count);
    assertThat(brute.sum()).isEqualTo((mean == 0 ? 4 : mean) * tried);
    for (String solver : new String[] {"viterbi", "direct", "auto"}) {
      SolverOutcome outcome = PlacementSolvers.find(solver).solve(problem, CONFIG);
      assertThat(outcome.status()).as(solver).isEqualTo(SolverStatus.OPTIMAL);
      assertThat(outcome.objective()).as(solver).isEqualTo(best);
      assertThat(outcome.gap()).isZero();
      assertThat(problem.isMetBy(outcome.placement().orElseThrow())).isTrue();
    }
  }

  @Test
  void bisectionIsNotOptimalOnCaseB() {
    assertThat(objective("direct", Routes.CASE_B, 1, 2)).isEqualTo(2);
    assertThat(objective("bipart", Routes.CASE_B, 1, 2)).isEqualTo(2);
    assertThat(objective("direct", Routes.CASE_B, 1, 4)).isEqualTo(5);
    assertThat(objective("assignment", Routes.CASE_B, 1, 4)).isEqualTo(5);
    assertThat(objective("bipart", Routes.CASE_B, 1, 4)).isEqualTo(6);
    assertThat(objective("vanilla", Routes.CASE_B, 1, 4)).isEqualTo(9);
    assertThat(objective("bipart", Routes.CASE_B, 2, 2)).isEqualTo(8);
    assertThat(objective("node-then-gpu", Routes.CASE_B, 2, 2)).isEqualTo(8);
    assertThat(objective("direct", Routes.CASE_B, 2, 2)).isEqualTo(8);
  }

  private static long objective(String solver, RoutingTrace trace, int nodes, int perNode) {
    return PlacementSolvers.find(solver)
        .solve(Routes.problem(trace, nodes, perNode), CONFIG)
        .objective();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("sixty")
  void bruteForceViterbiPairProgramAndPerTokenProgramAgree(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int gpus = 2 + random.nextInt(2);
    int experts = gpus == 2 ? 4 + 2 * random.nextInt(2) : 3 * (1 + random.nextInt(2));
    int layers = experts == 6 && gpus == 3 ? 2 : 3;
    RoutingTrace trace = Routes.random(layers, experts, 1, 25, seed);
    PlacementProblem problem = Routes.problem(trace, 1, gpus);
    long brute = BruteForce.of(Chain.of(problem)).best();
    SolverOutcome viterbi = new ViterbiSolver().solve(problem, CONFIG);
    SolverOutcome direct = new DirectSolver().solve(problem, CONFIG);

    assertThat(viterbi.objective()).isEqualTo(brute);
    assertThat(direct.objective()).isEqualTo(brute);
    assertThat(direct.status()).isEqualTo(SolverStatus.OPTIMAL);
    assertThat(PerTokenProgram.fewestHops(trace, gpus)).isEqualTo(brute);
    assertThat(PlacementCost.replay(Routes.reader(trace), direct.placement().orElseThrow()).hops())
        .isEqualTo(brute);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("sixty")
  void everyTopologyAndBalanceAgrees(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology[] topologies = {
      new Topology(2, 2), new Topology(3, 1), new Topology(1, 3), new Topology(2, 1)
    };
    Topology topology = topologies[(int) (seed % topologies.length)];
    int experts = 3 + random.nextInt(topology.gpus() == 4 ? 2 : 3);
    RoutingTrace trace = Routes.random(1 + random.nextInt(3), experts, 1, 30, seed);
    Objective objective = random.nextBoolean() ? Objective.HOPS : Objective.CROSSINGS;
    PlacementProblem problem = PlacementProblem.balanced(Routes.count(trace), topology, objective);
    Chain chain = Chain.of(problem);
    long brute = BruteForce.of(chain).best();
    SolverOutcome viterbi = new ViterbiSolver().solve(problem, CONFIG);
    SolverOutcome direct = new DirectSolver().solve(problem, CONFIG);

    assertThat(viterbi.objective()).isEqualTo(brute);
    assertThat(viterbi.status()).isEqualTo(SolverStatus.OPTIMAL);
    assertThat(direct.objective()).isEqualTo(brute);
    assertThat(direct.bound()).isEqualTo(brute);
    assertThat(GapBound.of(chain)).isLessThanOrEqualTo(brute);
    assertThat(Viterbi.of(chain, () -> false).orElseThrow().singleGapBound().orElseThrow())
        .isBetween(GapBound.of(chain), brute);
    for (String solver :
        new String[] {"bipart", "node-then-gpu", "sweep", "greedy-load", "random", "vanilla"}) {
      SolverOutcome outcome = PlacementSolvers.find(solver).solve(problem, CONFIG);
      assertThat(outcome.objective()).as(solver).isGreaterThanOrEqualTo(brute);
      assertThat(outcome.bound()).as(solver).isLessThanOrEqualTo(brute);
      assertThat(problem.isMetBy(outcome.placement().orElseThrow())).as(solver).isTrue();
      assertThat(
              objective.total(
                  PlacementCost.of(problem.counts(), outcome.placement().orElseThrow())))
          .isEqualTo(outcome.objective());
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("sixty")
  void assignmentsAreExactForOneExpertPerGpu(long seed) {
    int experts = 2 + (int) (seed % 3);
    RoutingTrace trace = Routes.random(3, experts, 1, 40, seed);
    PlacementProblem problem = Routes.problem(trace, 1, experts);
    SolverOutcome outcome = new AssignmentSolver().solve(problem, CONFIG);
    assertThat(outcome.status()).isEqualTo(SolverStatus.OPTIMAL);
    assertThat(outcome.objective()).isEqualTo(BruteForce.of(Chain.of(problem)).best());
    assertThat(outcome.objective()).isEqualTo(GapBound.of(Chain.of(problem)));

    PlacementProblem apart = Routes.problem(trace, experts, 1);
    assertThat(new AssignmentSolver().solve(apart, CONFIG).objective())
        .isEqualTo(2 * outcome.objective());
  }

  @Test
  void assignmentsOnNodesSayWhatIsExact() {
    SolverOutcome outcome =
        new AssignmentSolver().solve(Routes.problem(Routes.CASE_A, 2, 2), CONFIG);
    assertThat(outcome.objective()).isBetween(4L, 6L);
    assertThat(outcome.note())
        .isEqualTo("assignments are exact for crossings, sweeps chose the nodes");

    SolverOutcome refused =
        new AssignmentSolver().solve(Routes.problem(Routes.CASE_A, 1, 2), CONFIG);
    assertThat(refused.status()).isEqualTo(SolverStatus.UNSUPPORTED);
    assertThat(refused.note())
        .isEqualTo(
            "it needs one expert of each layer on every GPU, here are 2 experts of each layer on every GPU");
  }

  @Test
  void sweepsFromAWarmStartNeverRise() {
    PlacementProblem problem = Routes.problem(Routes.random(6, 16, 2, 400, 3), 2, 2);
    SolverOutcome bipart =
        new BisectionSolver().solve(problem, CONFIG.withTimeLimit(java.time.Duration.ofSeconds(4)));
    SolverOutcome polished =
        new SweepSolver().solve(problem, CONFIG.withWarmStart(bipart.placement().orElseThrow()));
    assertThat(polished.objective()).isLessThanOrEqualTo(bipart.objective());
    assertThat(bipart.note()).startsWith("3 splits, ");
  }

  @Test
  void warmStartIsKeptIfTimeIsShort() {
    PlacementProblem problem = Routes.problem(Routes.random(6, 16, 1, 400, 3), 1, 4);
    SolverOutcome sweep = new SweepSolver().solve(problem, CONFIG);
    SolverOutcome direct =
        new DirectSolver()
            .solve(
                problem,
                CONFIG
                    .withWarmStart(sweep.placement().orElseThrow())
                    .withTimeLimit(java.time.Duration.ofMillis(1)));
    assertThat(direct.objective()).isLessThanOrEqualTo(sweep.objective());
  }
}
