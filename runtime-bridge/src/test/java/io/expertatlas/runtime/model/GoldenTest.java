package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tokens and logits of transformers, {@code data/golden}. */
class GoldenTest {
  private static final Goldens MIXTRAL = Goldens.read("mixtral");
  private static final Goldens NLLB = Goldens.read("nllb");

  private static ExecutionPlan alone(String model) {
    return Runs.vanilla(Runs.config(model).shape(), 1, ParallelMode.HOME);
  }

  @Test
  void mixtralGivesTheGoldenTokensInOneBatch() {
    try (Runs runs = new Runs("mixtral", alone("mixtral"), new Limits(8, 128, 512))) {
      assertThat(runs.greedy(MIXTRAL.prompts(), 32, false))
          .containsExactlyElementsOf(MIXTRAL.greedy());
    }
  }

  @Test
  void mixtralGivesTheGoldenTokensOneByOneAndInPiecesOfPrompts() {
    try (Runs runs = new Runs("mixtral", alone("mixtral"), new Limits(1, 128, 17))) {
      for (int i = 0; i < 8; i++) {
        assertThat(runs.greedy(List.of(MIXTRAL.prompts().get(i)), 32, false))
            .containsExactly(MIXTRAL.greedy().get(i));
      }
    }
  }

  @Test
  void nllbGivesTheGoldenTokensInOneBatch() {
    try (Runs runs = new Runs("nllb-moe", alone("nllb-moe"), new Limits(8, 128, 512))) {
      assertThat(runs.greedy(NLLB.prompts(), 128, true)).containsExactlyElementsOf(NLLB.greedy());
    }
  }

  @Test
  void nllbGivesTheGoldenTokensOneByOne() {
    try (Runs runs = new Runs("nllb-moe", alone("nllb-moe"), new Limits(1, 128, 40))) {
      for (int i = 0; i < 8; i++) {
        assertThat(runs.greedy(List.of(NLLB.prompts().get(i)), 128, true))
            .containsExactly(NLLB.greedy().get(i));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 4, HOME, 0",
    "mixtral, 4, COHERENT, 0",
    "mixtral, 3, HOME, 7",
    "mixtral, 3, COHERENT, 7",
    "mixtral, 8, COHERENT, 0",
    "nllb-moe, 4, HOME, 0",
    "nllb-moe, 4, COHERENT, 0",
    "nllb-moe, 5, HOME, 3",
    "nllb-moe, 5, COHERENT, 3"
  })
  void ranksPlacementAndModeDoNotChangeTheTokens(
      String model, int ranks, ParallelMode mode, long seed) {
    ModelShape shape = Runs.config(model).shape();
    ExecutionPlan plan =
        seed == 0 ? Runs.vanilla(shape, ranks, mode) : Runs.random(shape, ranks, mode, seed);
    boolean mixtral = model.equals("mixtral");
    Goldens goldens = mixtral ? MIXTRAL : NLLB;
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 128))) {
      assertThat(runs.greedy(goldens.prompts(), mixtral ? 32 : 128, !mixtral))
          .containsExactlyElementsOf(goldens.greedy());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 4, HOME, 8",
    "mixtral, 4, COHERENT, 8",
    "mixtral, 4, COHERENT, 3",
    "nllb-moe, 4, HOME, 8",
    "nllb-moe, 4, COHERENT, 8"
  })
  void copiesOfExpertsDoNotChangeTheTokens(String model, int ranks, ParallelMode mode, int batch) {
    ExecutionPlan plan = Runs.copies(Runs.config(model).shape(), ranks, mode, 11);
    boolean mixtral = model.equals("mixtral");
    Goldens goldens = mixtral ? MIXTRAL : NLLB;
    try (Runs runs = new Runs(model, plan, new Limits(batch, 128, 128))) {
      assertThat(runs.greedy(goldens.prompts().subList(0, batch), mixtral ? 32 : 128, !mixtral))
          .containsExactlyElementsOf(goldens.greedy().subList(0, batch));
    }
  }

  @Test
  void mixtralLogitsAfterThePromptsAreTheGoldenOnes() {
    try (Runs runs = new Runs("mixtral", alone("mixtral"), new Limits(8, 128, 512))) {
      check(runs, runs.model.begin(0, MIXTRAL.prompts()), MIXTRAL);
    }
  }

  @Test
  void nllbLogitsOfTheFirstStepAreTheGoldenOnes() {
    try (Runs runs = new Runs("nllb-moe", alone("nllb-moe"), new Limits(8, 128, 512))) {
      check(runs, runs.model.begin(0, NLLB.prompts()), NLLB);
    }
  }

  /** Relative to the largest logit of the row. */
  private static void check(Runs runs, List<int[]> starts, Goldens goldens) {
    List<Step.Piece> pieces = new ArrayList<>();
    for (int s = 0; s < starts.size(); s++) {
      pieces.add(new Step.Piece(s, 0, starts.get(s), true, 0));
    }

    Logits logits = runs.model.forward(Step.of(Phase.PREFILL, 0, pieces)).get(0);
    float[] found = logits.device().readFloats(logits.values());
    int width = goldens.logits()[0].length;
    for (int s = 0; s < starts.size(); s++) {
      assertThat(logits.sequences()[s]).isEqualTo(s);
      float largest = 0;
      float difference = 0;
      for (int v = 0; v < width; v++) {
        float expected = goldens.logits()[s][v];
        largest = Math.max(largest, Math.abs(expected));
        difference = Math.max(difference, Math.abs(expected - found[s * width + v]));
      }

      assertThat(difference / largest).as("prompt %d", s).isLessThan(2e-3f);
      System.out.printf("prompt %d: relative difference %.2e%n", s, difference / largest);
    }
  }
}
