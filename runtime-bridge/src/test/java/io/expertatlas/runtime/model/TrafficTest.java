package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.placement.TrafficReplay;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What ranks send each other is what a replay of their routes predicts. */
class TrafficTest {
  @ParameterizedTest
  @CsvSource({
    "mixtral, 4, HOME, 1",
    "mixtral, 4, COHERENT, 1",
    "mixtral, 3, HOME, 2",
    "mixtral, 3, COHERENT, 2",
    "mixtral, 1, COHERENT, 3",
    "nllb-moe, 4, HOME, 4",
    "nllb-moe, 4, COHERENT, 4"
  })
  void countedTrafficIsThePredictedOneForEveryLayerAndPair(
      String model, int ranks, ParallelMode mode, long seed) {
    check(model, Runs.random(Runs.config(model).shape(), ranks, mode, seed));
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 4, HOME, 1",
    "mixtral, 4, COHERENT, 1",
    "mixtral, 5, HOME, 2",
    "mixtral, 5, COHERENT, 2",
    "nllb-moe, 4, HOME, 3",
    "nllb-moe, 4, COHERENT, 3"
  })
  void soItIsWithCopiesOfExperts(String model, int ranks, ParallelMode mode, long seed) {
    check(model, Runs.copies(Runs.config(model).shape(), ranks, mode, seed));
  }

  private static void check(String model, ExecutionPlan plan) {
    Goldens goldens = Goldens.read(model.equals("mixtral") ? "mixtral" : "nllb");
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 64))) {
      runs.greedy(goldens.prompts(), 6, true);

      assertThat(runs.model.moved()).isEqualTo(predicted(plan, runs.routes));
      assertThat(runs.model.vectorBytes()).isEqualTo(4L * runs.model.config().hidden());
      if (plan.ranks() == 1) {
        assertThat(runs.model.moved().total()).isZero();
      } else {
        assertThat(runs.model.moved().total()).isPositive();
      }
    }
  }

  /** A replay of each stack under its layers of the placement. */
  private static TrafficMatrix predicted(ExecutionPlan plan, List<Routes> routes) {
    TrafficMatrix all = new TrafficMatrix(plan.shape().layers(), plan.ranks());
    for (Routes one : routes) {
      int[][][] map =
          Arrays.copyOfRange(
              plan.placement().toCopies(),
              one.firstLayer(),
              one.firstLayer() + one.shape().layers());
      TrafficReplay replay =
          new TrafficReplay(
              one.shape(), Placement.ofCopies(plan.placement().topology(), map), plan.mode());
      int tokens = one.step().tokens();
      short[] experts = new short[tokens * one.shape().choicesPerToken()];
      float[] weights = new float[experts.length];
      int[] sequence = new int[tokens];
      int[] position = new int[tokens];
      for (int token = 0; token < tokens; token++) {
        one.copy(token, experts, weights, token * one.shape().choicesPerToken());
        sequence[token] = one.step().number(token);
        position[token] = one.step().position(token);
      }

      replay.add(
          RoutingTrace.of(one.shape(), experts, weights, sequence, position, new byte[tokens]));
      long[][][] moved = replay.moved().toArray(1);
      for (int layer = 0; layer < moved.length; layer++) {
        for (int from = 0; from < plan.ranks(); from++) {
          for (int to = 0; to < plan.ranks(); to++) {
            if (from != to) {
              all.add(one.firstLayer() + layer, from, to, moved[layer][from][to]);
            }
          }
        }
      }
    }

    return all;
  }

  @Test
  void coherentModeSendsEveryKeyAndValueToAllOtherRanks() {
    ModelShape shape = Runs.config("mixtral").shape();
    ExecutionPlan plan = Runs.vanilla(shape, 4, ParallelMode.COHERENT);
    List<int[]> prompts = Goldens.read("mixtral").prompts();
    try (Runs runs = new Runs("mixtral", plan, new Limits(8, 128, 64))) {
      runs.greedy(prompts, 3, false);

      long tokens = prompts.stream().mapToLong(ids -> ids.length).sum() + 8 * 2;
      assertThat(runs.model.context().total()).isEqualTo(tokens * 2 * shape.layers() * 3);
      assertThat(runs.model.contextVectorBytes()).isEqualTo(4L * 2 * 32);
    }
  }

  @Test
  void homeModeMovesNoContext() {
    ExecutionPlan plan = Runs.vanilla(Runs.config("mixtral").shape(), 4, ParallelMode.HOME);
    try (Runs runs = new Runs("mixtral", plan, new Limits(8, 128, 64))) {
      runs.greedy(Goldens.read("mixtral").prompts(), 2, false);

      assertThat(runs.model.context().total()).isZero();
    }
  }

  @Test
  void theLogitsOfASequenceAreTheSameToTheBitUnderAnyPlacement() {
    ModelShape shape = Runs.config("mixtral").shape();
    int[] prompt = Goldens.read("mixtral").prompts().get(7);
    float[] alone = logits(Runs.vanilla(shape, 1, ParallelMode.HOME), prompt);
    for (long seed = 1; seed <= 3; seed++) {
      assertThat(logits(Runs.random(shape, 5, ParallelMode.HOME, seed), prompt)).isEqualTo(alone);
    }
  }

  private static float[] logits(ExecutionPlan plan, int[] prompt) {
    try (Runs runs = new Runs("mixtral", plan, new Limits(1, 128, 128))) {
      List<Step.Piece> pieces = new ArrayList<>();
      pieces.add(new Step.Piece(0, 0, prompt, true, 0));
      Logits logits = runs.model.forward(Step.of(Phase.PREFILL, 0, pieces)).get(0);
      return logits.device().readFloats(logits.values());
    }
  }
}
