package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.trace.Phase;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code data/nllb-moe} with {@code moe_token_dropout} 0.2 beside what {@code
 * make_token_dropout_golden.py} computes.
 */
class TokenDropoutTest {
  private static final Goldens GOLDENS = Goldens.read(resource("token-dropout.json"));

  @TempDir private Path folder;

  private static Path resource(String name) {
    try {
      return Path.of(TokenDropoutTest.class.getResource(name).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  @BeforeEach
  void copyTheModel() throws IOException {
    Path model = Goldens.data().resolve("nllb-moe");
    String config = Files.readString(model.resolve("config.json"));
    Files.writeString(
        folder.resolve("config.json"),
        config.replace("\"moe_token_dropout\": 0.0", "\"moe_token_dropout\": 0.2"));
    Files.copy(model.resolve("model.safetensors"), folder.resolve("model.safetensors"));
  }

  private Runs run(ExecutionPlan plan) {
    return new Runs(folder.toString(), plan, new Limits(8, 128, 512));
  }

  private ExecutionPlan plan(int ranks, ParallelMode mode) {
    return Runs.vanilla(Runs.config(folder.toString()).shape(), ranks, mode);
  }

  @Test
  void isReadFromTheConfiguration() throws IOException {
    assertThat(((NllbMoeConfig) Runs.config(folder.toString())).tokenDropout()).isEqualTo(0.2);
    assertThat(((NllbMoeConfig) Runs.config("nllb-moe")).tokenDropout()).isZero();
    Path config = folder.resolve("config.json");
    Files.writeString(
        config, Files.readString(config).replace("  \"moe_token_dropout\": 0.2,\n", ""));
    assertThat(((NllbMoeConfig) Runs.config(folder.toString())).tokenDropout())
        .as("transformers' own value for a file that does not say")
        .isEqualTo(0.2);
  }

  @ParameterizedTest
  @CsvSource({"1, HOME", "3, HOME", "4, COHERENT"})
  void scalesWhatExpertsGiveOnAnyRanks(int ranks, ParallelMode mode) {
    try (Runs runs = run(plan(ranks, mode))) {
      assertThat(runs.greedy(GOLDENS.prompts(), 128, true))
          .containsExactlyElementsOf(GOLDENS.greedy());
    }
  }

  @Test
  void scalesOffloadedExpertsInEachOfTheirPasses() {
    try (Runs runs =
        run(plan(1, ParallelMode.HOME).with(new Offload(3, Offload.Eviction.POPULARITY)))) {
      assertThat(runs.greedy(GOLDENS.prompts(), 128, true))
          .containsExactlyElementsOf(GOLDENS.greedy());
    }
  }

  @Test
  void logitsAreTheGoldenOnesAndRecordedWeightsTheRouters() {
    try (Runs runs = run(plan(1, ParallelMode.HOME))) {
      List<int[]> starts = runs.model.begin(0, GOLDENS.prompts());
      List<Step.Piece> pieces = new ArrayList<>();
      for (int s = 0; s < starts.size(); s++) {
        pieces.add(new Step.Piece(s, 0, starts.get(s), true, 0));
      }

      Logits logits = runs.model.forward(Step.of(Phase.PREFILL, 0, pieces)).get(0);
      float[] found = logits.device().readFloats(logits.values());
      for (int s = 0; s < starts.size(); s++) {
        float[] expected = GOLDENS.logits()[s];
        float largest = 0;
        for (float logit : expected) {
          largest = Math.max(largest, Math.abs(logit));
        }

        for (int v = 0; v < expected.length; v++) {
          assertThat(found[s * expected.length + v])
              .as("prompt %d, logit %d", s, v)
              .isCloseTo(expected[v], within(1e-5f * largest));
        }
      }

      Routes routes = runs.routes.get(0);
      short[] experts = new short[routes.shape().choicesPerToken()];
      float[] weights = new float[experts.length];
      routes.copy(0, experts, weights, 0);
      assertThat(weights[0] + weights[1]).isCloseTo(1, within(1e-6f));
    }
  }
}
