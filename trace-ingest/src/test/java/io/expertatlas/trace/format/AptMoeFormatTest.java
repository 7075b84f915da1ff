package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AptMoeFormatTest {
  private static final int EXPERTS = 5;
  private static final int HIDDEN = 6;

  private static TraceSource source(String name, String... options) {
    return TraceSource.of(Golden.path("format/dumps/" + name))
        .withOptions(FormatOptions.parse(List.of(options)));
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  private static List<RouterStates> states(TraceSource source, TokenRange range) {
    try (RouterStatesReader reader = RouterStatesFormat.find(source).open(source, range)) {
      List<RouterStates> all = new ArrayList<>();
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        all.add(next.get());
      }

      return all;
    }
  }

  @Test
  void theLargestProbabilitiesAreTheRoutes() {
    RoutingTrace trace = read(source("aptmoe-mixtral", "top-k=2"), TokenRange.ALL);

    assertThat(trace.shape()).isEqualTo(new ModelShape(3, EXPERTS, 2));
    assertThat(IntStream.range(0, 8).map(trace::sequence))
        .containsExactly(0, 0, 0, 0, 2, 10, 10, 10);
    assertThat(IntStream.range(0, 8).map(trace::position)).containsExactly(0, 1, 2, 3, 0, 0, 1, 2);
    for (int token = 0; token < trace.tokens(); token++) {
      for (int layer = 0; layer < 3; layer++) {
        int shift = layer + trace.position(token);
        assertThat(trace.expert(token, layer, 0)).isEqualTo(Math.floorMod(4 - shift, EXPERTS));
        assertThat(trace.expert(token, layer, 1)).isEqualTo(Math.floorMod(3 - shift, EXPERTS));
      }
    }
  }

  @Test
  void hiddenStatesAndScoresAreGivenAsRecorded() {
    List<RouterStates> batches = states(source("aptmoe-mixtral", "top-k=2"), TokenRange.ALL);

    assertThat(batches).hasSize(3);
    for (RouterStates batch : batches) {
      assertThat(batch.hiddenSize()).isEqualTo(HIDDEN);
      assertThat(batch.scores()).isEqualTo(Scores.PROBABILITIES);
      for (int token = 0; token < batch.tokens(); token++) {
        int position = batch.routes().position(token);
        for (int layer = 0; layer < 3; layer++) {
          for (int i = 0; i < HIDDEN; i++) {
            assertThat(batch.hidden(token, layer, i)).isEqualTo(layer + position / 4f + i / 64f);
          }

          for (int expert = 0; expert < EXPERTS; expert++) {
            assertThat(batch.score(token, layer, expert))
                .isEqualTo((float) ((1 + (expert + layer + position) % EXPERTS) / 15.0));
          }
        }
      }
    }
  }

  @Test
  void anySplitGivesTheSameTokens() {
    TraceSource source = source("aptmoe-mixtral", "top-k=3");
    RoutingTrace whole = read(source, TokenRange.ALL);
    for (int step = 1; step < 9; step++) {
      List<RoutingTrace> parts = new ArrayList<>();
      for (int from = 0; from < 8; from += step) {
        parts.add(read(source, new TokenRange(from, from + step)));
      }

      assertThat(Traces.describe(Traces.concat(whole.shape(), false, parts)))
          .isEqualTo(Traces.describe(whole));
    }
  }

  @Test
  void masksAreReadAndTheirDroppedTokensNamedOrSkipped() {
    TraceSource refuse = source("aptmoe-nllb", "top-k=2");

    assertThatThrownBy(() -> read(refuse, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Invalid gate result in %s at layer 1, token 2: 1 experts, expected top-k 2. Maybe leave such tokens out with --format-option incomplete=skip"
                .formatted(refuse.path().resolve("gate_results.1.pth")));
    RoutingTrace trace = read(source("aptmoe-nllb", "top-k=2", "incomplete=skip"), TokenRange.ALL);
    assertThat(trace.tokens()).isEqualTo(5);
    assertThat(trace.sequence(4)).isOne();
    assertThat(trace.position(4)).isOne();
    assertThat(new int[] {trace.expert(0, 0, 0), trace.expert(0, 0, 1)}).containsExactly(3, 4);
    assertThat(states(source("aptmoe-nllb/gate_results.0.pth", "top-k=2"), TokenRange.ALL))
        .extracting(RouterStates::hiddenSize)
        .containsExactly(0);
  }

  @Test
  void topKMustBeGiven() {
    assertThatThrownBy(() -> read(source("aptmoe-mixtral"), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("Missing top k of")
        .hasMessageContaining("--format-option top-k=");
    assertThatThrownBy(() -> read(source("aptmoe-mixtral", "top-k=6"), TokenRange.ALL))
        .hasMessageContaining("Invalid top-k for")
        .hasMessageContaining("6, 1 to its 5 experts");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "aptmoe-nan; Invalid value NaN in; at layer 1, token 2, index 3",
        "aptmoe-logits; layer 1, token 2: score -4.0 of expert 3, expected a probability",
        "aptmoe-sum; layer 1, token 2: probabilities with sum; expected 1",
        "aptmoe-hidden; Invalid shape of; 3 layers x 5 tokens, gate_results.0.pth has 3 x 4",
        "aptmoe-pairs; Missing hidden_inputs.0.pth in; 1 of 2 prompts have hidden states",
        "aptmoe-shapes; gate_results.1.pth is of 3 MoE layers x 4 experts, top-2",
        "aptmoe-integers; a tensor (3, 2, 5) of int32, expected an array (layers, tokens, width)",
      })
  void brokenFilesSayWhatAndWhere(String nameAndMessages) {
    String[] parts = nameAndMessages.split("; ");
    TraceSource source = source("broken/" + parts[0], "top-k=2");

    assertThatThrownBy(() -> states(source, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContainingAll(parts);
  }
}
