package io.expertatlas.placement.ortools;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.solver.StageOutcome;
import io.expertatlas.placement.solver.StageProblem;
import io.expertatlas.placement.solver.StageSolver;
import java.util.ServiceLoader;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class StageProgramTest {
  private static final StageSolver SOLVER =
      ServiceLoader.load(StageSolver.class).findFirst().orElseThrow();

  private static long[] same(int layers, long value) {
    return LongStream.generate(() -> value).limit(layers).toArray();
  }

  /** Tries every partition. */
  private static int[] best(StageProblem problem, int[] first, int stage, int[] found) {
    if (stage == problem.stages()) {
      boolean fits = problem.neededBytes(first) <= problem.budgetBytes();
      return fits && (found.length == 0 || problem.makespan(first) < problem.makespan(found))
          ? first.clone()
          : found;
    }

    int most = problem.layers() - (problem.stages() - stage);
    for (int layer = first[stage - 1] + 1; layer <= most; layer++) {
      first[stage] = layer;
      found = best(problem, first, stage + 1, found);
    }

    return found;
  }

  @ParameterizedTest
  @CsvSource({"8, 33 35 37 41 45 53", "16, 57 59 61 69 77 101"})
  void fourDevicesTakeAsLongAsTheGoldenCases(int stages, String makespans) {
    StringBuilder found = new StringBuilder();
    for (int load : new int[] {0, 2, 4, 6, 8, 12}) {
      StageProblem problem =
          new StageProblem(
              4,
              stages,
              4,
              1,
              same(stages, load),
              same(stages, 1),
              same(stages, 2),
              same(stages, 0));
      found.append(found.isEmpty() ? "" : " ").append(problem.makespan(problem.equalStages()));
    }

    assertThat(found).hasToString(makespans);
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void theProgramFindsTheBestOfAllPartitions(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int devices = 1 + random.nextInt(3);
    int stages = devices * (1 + random.nextInt(2));
    int layers = stages + random.nextInt(5);
    StageProblem problem =
        new StageProblem(
            devices,
            stages,
            1 + random.nextInt(4),
            5 + random.nextInt(40),
            random.longs(layers, 0, 12).toArray(),
            random.longs(layers, 0, 4).toArray(),
            random.longs(layers, 0, 8).toArray(),
            random.longs(layers, 0, 9).toArray());
    int[] best = best(problem, new int[stages], 1, new int[0]);
    StageOutcome outcome = SOLVER.solve(problem, 5, seed);
    assertThat(outcome.isFound()).isEqualTo(best.length > 0);
    assertThat(outcome.isInfeasible()).isEqualTo(best.length == 0);
    if (best.length > 0) {
      assertThat(problem.neededBytes(outcome.firstLayer()))
          .isLessThanOrEqualTo(problem.budgetBytes());
      assertThat(outcome.makespanNanos())
          .isEqualTo(problem.makespan(outcome.firstLayer()))
          .isEqualTo(problem.makespan(best))
          .isEqualTo(outcome.boundNanos());
    }
  }

  @Test
  void heavyLayersGetStagesOfTheirOwn() {
    long[] load = {90, 10, 10, 10, 10, 10, 10, 10, 10, 90};
    long[] forward = {9, 1, 1, 1, 1, 1, 1, 1, 1, 9};
    long[] backward = {18, 2, 2, 2, 2, 2, 2, 2, 2, 18};
    StageProblem problem = new StageProblem(2, 4, 2, 100, load, forward, backward, same(10, 5));
    StageOutcome outcome = SOLVER.solve(problem, 5, 1);
    assertThat(outcome.makespanNanos()).isLessThan(problem.makespan(problem.equalStages()));
    assertThat(outcome.firstLayer()[1]).isLessThan(3);
    assertThat(outcome.gap()).isZero();
  }

  @Test
  void theSameSeedGivesTheSameStages() {
    StageProblem problem =
        new StageProblem(4, 8, 4, 1L << 40, same(32, 30), same(32, 9), same(32, 18), same(32, 1));
    StageOutcome first = SOLVER.solve(problem, 0.5, 7);
    assertThat(SOLVER.solve(problem, 0.5, 7)).hasToString(first.toString());
    assertThat(first.boundNanos()).isLessThanOrEqualTo(first.makespanNanos());
  }

  @Test
  void equalStagesDifferByOneLayer() {
    StageProblem problem =
        new StageProblem(2, 4, 1, 1, same(10, 1), same(10, 1), same(10, 1), same(10, 1));
    assertThat(problem.equalStages()).containsExactly(0, 3, 6, 8);
    assertThat(problem.neededBytes(problem.equalStages())).isEqualTo(7);
  }

  @Test
  void shapesThatMakeNoStagesAreRefused() {
    assertThatThrownBy(
            () -> new StageProblem(2, 3, 1, 1, same(4, 1), same(4, 1), same(4, 1), same(4, 1)))
        .hasMessage(
            "Invalid stages: 3 of 4 layers on 2 devices with 1 micro-batches, expected a multiple of the devices up to the layers");
    assertThatThrownBy(
            () -> new StageProblem(2, 2, 1, 1, same(3, 1), same(4, 1), same(4, 1), same(4, 1)))
        .hasMessageContaining("Invalid layers: 3 load, 4 forward");
  }
}
