package io.expertatlas.placement.solver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.CountsShrinkage;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.CrossValidation.Candidate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RobustTest {
  private static final Topology PAIR = new Topology(1, 2);
  private static final SolverConfig CONFIG =
      SolverConfig.DEFAULT.withTimeLimit(Duration.ofSeconds(20));

  private static PlacementProblem problem(RouteCounts counts) {
    return PlacementProblem.balanced(counts, PAIR, Objective.HOPS);
  }

  /** The least worst cost over every placement of two layers of four experts on two GPUs. */
  private static double leastWorst(List<RouteCounts> traces, double[] mean) {
    int[][] halves = {
      {0, 0, 1, 1}, {0, 1, 0, 1}, {0, 1, 1, 0}, {1, 1, 0, 0}, {1, 0, 1, 0}, {1, 0, 0, 1}
    };
    double worst = Double.POSITIVE_INFINITY;
    mean[0] = Double.POSITIVE_INFINITY;
    for (int[] first : halves) {
      for (int[] second : halves) {
        for (int[] third : halves) {
          double most = 0;
          double sum = 0;
          for (RouteCounts trace : traces) {
            double cost =
                PlacementCost.of(trace, new Placement(PAIR, new int[][] {first, second, third}))
                    .hopsPerToken();
            most = Math.max(most, cost);
            sum += cost / traces.size();
          }

          worst = Math.min(worst, most);
          mean[0] = Math.min(mean[0], sum);
        }
      }
    }

    return worst;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void boundsHoldAndNoTraceIsForgotten(long seed) {
    List<RouteCounts> traces = new ArrayList<>();
    for (int trace = 0; trace < 1 + seed % 3; trace++) {
      traces.add(Routes.count(Routes.random(3, 4, 1, trace == 1 ? 7 : 300, 3 * seed + trace)));
    }

    double[] mean = new double[1];
    double worst = leastWorst(traces, mean);
    PlacementSolver viterbi = PlacementSolvers.find("viterbi");
    WorstCase.Result found = WorstCase.worst(viterbi, traces, RobustTest::problem, CONFIG);
    WorstCase.Result weighted =
        WorstCase.weighted(
            viterbi,
            traces,
            traces.stream().map(trace -> 2.0).toList(),
            RobustTest::problem,
            CONFIG);

    assertThat(found.bound()).isLessThanOrEqualTo(worst + 1e-9);
    assertThat(found.value()).isGreaterThanOrEqualTo(worst - 1e-9);
    assertThat(found.costs()).hasSize(traces.size());
    assertThat(found.value())
        .isEqualTo(found.costs().stream().mapToDouble(Double::doubleValue).max().orElseThrow());
    for (int trace = 0; trace < traces.size(); trace++) {
      assertThat(found.costs().get(trace))
          .isEqualTo(PlacementCost.of(traces.get(trace), found.placement()).hopsPerToken());
    }

    assertThat(weighted.value()).isCloseTo(mean[0], within(0.02));
    assertThat(weighted.bound()).isCloseTo(weighted.value(), within(1e-9));
    if (traces.size() == 1) {
      assertThat(found.value()).isCloseTo(worst, within(1e-9));
      assertThat(found.solves()).isEqualTo(1);
    }
  }

  @Test
  void theWorstIsServedBetterThanByTheMean() {
    double byWorst = 0;
    double byMean = 0;
    double least = 0;
    for (long seed = 1; seed <= 20; seed++) {
      List<RouteCounts> traces =
          List.of(
              Routes.count(Routes.random(3, 4, 1, 200, seed)),
              Routes.count(Routes.random(3, 4, 1, 200, 50 + seed)),
              Routes.count(Routes.random(3, 4, 1, 200, 100 + seed)));
      PlacementSolver viterbi = PlacementSolvers.find("viterbi");
      byWorst += WorstCase.worst(viterbi, traces, RobustTest::problem, CONFIG).value();
      byMean +=
          WorstCase.weighted(viterbi, traces, List.of(1., 1., 1.), RobustTest::problem, CONFIG)
              .costs()
              .stream()
              .mapToDouble(Double::doubleValue)
              .max()
              .orElseThrow();
      least += leastWorst(traces, new double[1]);
    }

    assertThat(byWorst).isBetween(least, byMean).isLessThan(least + 0.75 * (byMean - least));
  }

  @Test
  void sharesOfUnequalTracesAreWholeNumbersThatForgetNone() {
    List<RouteCounts> traces =
        List.of(
            Routes.count(Routes.random(2, 4, 1, 5, 1)),
            Routes.count(Routes.random(2, 4, 1, 5000, 2)));

    long[] factors = WorstCase.factors(traces, new double[] {0.5, 0.5});

    assertThat(factors).containsExactly(64_000, 64);
  }

  @Test
  void crossValidationScoresEveryFoldOnce() {
    List<RouteCounts> folds =
        List.of(
            Routes.count(Routes.random(3, 4, 2, 60, 1)),
            Routes.count(Routes.random(3, 4, 2, 90, 2)));
    PlacementSolver viterbi = PlacementSolvers.find("viterbi");
    List<Candidate> told = new ArrayList<>();

    CrossValidation.Result result =
        CrossValidation.choose(
            viterbi,
            folds,
            problem(folds.get(0)),
            List.of(List.of(CountsShrinkage.CO_ACTIVATION)),
            CONFIG,
            told::add);

    Placement without0 = viterbi.solve(problem(folds.get(1)), CONFIG).placement().orElseThrow();
    Placement without1 = viterbi.solve(problem(folds.get(0)), CONFIG).placement().orElseThrow();
    double hops =
        PlacementCost.of(folds.get(0), without0).hops()
            + PlacementCost.of(folds.get(1), without1).hops();
    assertThat(result.candidates()).isEqualTo(told);
    assertThat(told.stream().map(Candidate::strength).toList())
        .isEqualTo(CrossValidation.STRENGTHS);
    assertThat(told.get(0).heldOut()).isCloseTo(hops / 150, within(1e-12));
    assertThat(told).contains(result.chosen());
    assertThatThrownBy(
            () ->
                CrossValidation.choose(
                    viterbi,
                    folds.subList(0, 1),
                    problem(folds.get(0)),
                    List.of(),
                    CONFIG,
                    c -> {}))
        .hasMessage("Cannot choose the shrinkage: 1 folds with tokens, at least 2");
  }

  @Test
  void aTieGoesToTheLesserStrength() {
    List<Candidate> scored =
        List.of(
            new Candidate(List.of(), 0, 5.06),
            new Candidate(List.of(), 0.1, 5.04),
            new Candidate(List.of(), 0.2, 5));

    assertThat(CrossValidation.chosen(scored).strength()).isEqualTo(0.1);
  }
}
