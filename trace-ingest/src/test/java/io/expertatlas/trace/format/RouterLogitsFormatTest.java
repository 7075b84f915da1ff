package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
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
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class RouterLogitsFormatTest {
  private static TraceSource source(String file, String... options) {
    List<String> all = new ArrayList<>(List.of(options));
    if (all.stream().noneMatch(option -> option.startsWith("top-k"))) {
      all.add("top-k=3");
    }

    return TraceSource.of(Golden.path("format/router-logits/" + file))
        .withFormat("router-logits")
        .withOptions(FormatOptions.parse(all));
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  /** Column 1 of routes.json holds probabilities, column 2 those of the chosen made to sum to 1. */
  private static void checkRoutes(RoutingTrace trace, int first, int weightColumn)
      throws IOException {
    JsonNode routes =
        new ObjectMapper().readTree(Golden.path("format/router-logits/routes.json").toFile());
    assertThat(trace.shape()).isEqualTo(new ModelShape(2, 13, 3));
    for (int token = 0; token < trace.tokens(); token++) {
      for (int layer = 0; layer < 2; layer++) {
        for (int rank = 0; rank < 3; rank++) {
          JsonNode choice = routes.get(first + token).get(layer).get(rank);
          assertThat(trace.expert(token, layer, rank)).isEqualTo(choice.get(0).asInt());
          assertThat((double) trace.weight(token, layer, rank))
              .isCloseTo(choice.get(weightColumn).asDouble(), within(1e-6));
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "stacked.npy",
        "batched.npy",
        "big-endian.npy",
        "probabilities.npy",
        "layers.safetensors",
        "layers.npz",
        "deflated.npz",
        "stacked.npz",
        "batched.npz"
      })
  void everyContainerGivesTheSameRoutes(String file) throws IOException {
    RoutingTrace trace = read(source(file), TokenRange.ALL);

    assertThat(trace.tokens()).isEqualTo(6);
    checkRoutes(trace, 0, 2);
  }

  @Test
  void arraysOfAnArchiveAreLayersInTheOrderOfTheirNumbers() throws IOException {
    RoutingTrace many = read(source("many.npz"), TokenRange.ALL);

    assertThat(many.shape()).isEqualTo(new ModelShape(11, 13, 3));
    RoutingTrace two = read(source("layers.npz"), TokenRange.ALL);
    for (int layer = 0; layer < 11; layer++) {
      for (int rank = 0; rank < 3; rank++) {
        assertThat(many.expert(4, layer, rank)).isEqualTo(two.expert(4, layer % 2, rank));
      }
    }

    checkRoutes(read(source("deflated.npz"), new TokenRange(2, 5)), 2, 2);
    for (String name : List.of("layers.npz", "stacked.npy", "layers.safetensors")) {
      assertThat(TraceFormat.find(source(name)).isSplittable(source(name))).as(name).isTrue();
    }

    assertThat(TraceFormat.find(source("deflated.npz")).isSplittable(source("deflated.npz")))
        .isFalse();
  }

  @Test
  void weightsMayStayAsTheSoftmaxGivesThem() throws IOException {
    checkRoutes(read(source("stacked.npy", "renormalize=false"), TokenRange.ALL), 0, 1);
    checkRoutes(read(source("probabilities.npy", "renormalize=false"), TokenRange.ALL), 0, 1);
  }

  @Test
  void tensorsAreChosenByPrefix() throws IOException {
    checkRoutes(
        read(source("two-stacks.safetensors", "tensors=encoder_router_logits"), TokenRange.ALL),
        0,
        2);
    assertThatThrownBy(() -> read(source("two-stacks.safetensors"), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining(
            "Cannot tell which tensors of %s are router logits: there are [decoder_router_logits.N, encoder_router_logits.N]"
                .formatted(Golden.path("format/router-logits/two-stacks.safetensors")));
    assertThatThrownBy(() -> read(source("two-stacks.safetensors", "tensors=x"), TokenRange.ALL))
        .hasMessageContaining("begins with 'x'");
  }

  @Test
  void sequencesComeFromTheBatchAxisOrTheirLength() {
    int[] sequence = {0, 0, 0, 1, 1, 1};
    int[] position = {0, 1, 2, 0, 1, 2};
    for (TraceSource source :
        List.of(source("batched.npy"), source("stacked.npy", "sequence-length=3"))) {
      RoutingTrace trace = read(source, TokenRange.ALL);
      for (int token = 0; token < 6; token++) {
        assertThat(trace.sequence(token)).isEqualTo(sequence[token]);
        assertThat(trace.position(token)).isEqualTo(position[token]);
      }
    }

    RoutingTrace one = read(source("stacked.npy"), TokenRange.ALL);
    assertThat(one.sequence(5)).isZero();
    assertThat(one.position(5)).isEqualTo(5);
    assertThatThrownBy(() -> read(source("stacked.npy", "sequence-length=4"), TokenRange.ALL))
        .hasMessageContaining("6 tokens are no multiple of it");
    assertThatThrownBy(() -> read(source("batched.npy", "sequence-length=2"), TokenRange.ALL))
        .hasMessageContaining("its axes say that sequences have 3 tokens");
  }

  @Test
  void everyRangeIsAPartOfTheWhole() {
    RoutingTrace whole = read(source("batched.npy"), TokenRange.ALL);
    for (int from = 0; from < 6; from++) {
      for (int to = from + 1; to <= 7; to++) {
        RoutingTrace part = read(source("batched.npy"), new TokenRange(from, to));
        assertThat(Traces.describe(part))
            .isEqualTo(Traces.describe(whole.slice(from, Math.min(to, 6))));
      }
    }
  }

  @Test
  void scoresAreGivenAsTheyAreAndNamed() throws IOException {
    TraceSource source = source("layers.safetensors");
    try (RouterStatesReader reader =
        RouterStatesFormat.find(source).open(source, new TokenRange(1, 5))) {
      assertThat(reader.scores()).isEqualTo(Scores.LOGITS);
      assertThat(reader.hiddenSize()).isZero();
      RouterStates states = reader.next().orElseThrow();
      checkRoutes(states.routes(), 1, 2);
      for (int token = 0; token < 4; token++) {
        for (int layer = 0; layer < 2; layer++) {
          for (int expert = 0; expert < 13; expert++) {
            assertThat(states.score(token, layer, expert))
                .isEqualTo((5 * (token + 1) + 3 * layer + 7 * expert) % 13 / 4f - 1);
          }
        }
      }

      assertThat(reader.next()).isEmpty();
    }

    TraceSource probabilities = source("probabilities.npy");
    try (RouterStatesReader reader = RouterStatesFormat.openStates(probabilities)) {
      assertThat(reader.scores()).isEqualTo(Scores.PROBABILITIES);
    }
  }

  @Test
  void aDroppedTokenIsNamed() {
    assertThatThrownBy(() -> read(source("dropped.npy", "top-k=2"), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot choose 2 experts from %s at token 4, layer 0: fewer have a probability above 0. Maybe the model dropped the token for want of capacity, or top-k is smaller"
                .formatted(Golden.path("format/router-logits/dropped.npy")));
    assertThat(read(source("dropped.npy", "top-k=1"), TokenRange.ALL).tokens()).isEqualTo(6);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "broken-nan.npy; Invalid router logit NaN in ; at token 4, layer 1, expert 7: it must be finite",
        "broken-mixed.npy; Cannot tell logits from probabilities in ; of the first 6 tokens, the numbers of 6 rows sum to 1, those of 6 do not",
        "broken-integers.npy; Cannot read router logits from ; is I32, expected floating-point numbers",
        "broken-truncated.safetensors; Truncated safetensors file: ; its header announces",
        "broken-trailing.safetensors; Invalid safetensors file: ; its header announces",
        "broken-header.safetensors; Invalid safetensors header in ; broken-header",
        "broken-length.safetensors; Invalid safetensors file: ; its header would have -1",
        "broken-shapes.safetensors; Invalid shape of tensor a.1 in ; [5, 13], but a.0 has [6, 13]",
        "broken-dtype.safetensors; Cannot read tensor a.0 of ; its dtype is \"F8_E4M3\"",
        "broken-nan.npz; Invalid router logit NaN in ; at token 4, layer 1, expert 7: it must be finite",
        "broken-shapes.npz; Invalid shape of tensor a_1 in ; [5, 13], but a_0 has [6, 13]",
        "broken-names.npz; Cannot tell the layer of tensor first in ; Maybe choose tensors with",
        "broken-fortran.npz; Cannot read router logits from ; a_0.npy: it is in Fortran order",
        "broken-member.npz; Cannot read router logits from ; it has a member readme.txt, expected arrays",
        "broken-truncated.npz; Invalid zip archive: ; broken-truncated.npz",
        "broken-gap.safetensors; Invalid tensor a.0 in ; shape [2, 2] of F32, but data_offsets [0, 17]",
      })
  void brokenFilesAreRefused(String file, String start, String rest) {
    assertThatThrownBy(() -> read(source(file), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(start)
        .hasMessageContaining(rest);
  }

  @Test
  void whatTheUserSaysIsChecked() {
    assertThatThrownBy(() -> read(source("stacked.npy", "scores=probabilities"), TokenRange.ALL))
        .hasMessageContaining("Maybe the numbers are scores=logits");
    assertThatThrownBy(() -> read(source("stacked.npy", "top-k=14"), TokenRange.ALL))
        .hasMessageContaining("14, at most the number of experts 13");
    assertThatThrownBy(() -> read(source("stacked.npy").withExperts(8), TokenRange.ALL))
        .hasMessageContaining("8 by --experts, 13 by");
    TraceSource none = source("stacked.npy").withOptions(FormatOptions.NONE);
    assertThatThrownBy(() -> read(none, TokenRange.ALL))
        .hasMessageContaining("Maybe add --format-option top-k=...");
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void topKIsWhatSortingGives(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 1 + random.nextInt(20);
    int topK = 1 + random.nextInt(experts);
    float[] scores = new float[experts + 3];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = random.nextInt(8) / 4f - 1; // with ties
    }

    TopK choice = new TopK(experts, topK);
    choice.choose(scores, 3);
    List<Integer> sorted = new ArrayList<>();
    for (int expert = 0; expert < experts; expert++) {
      sorted.add(expert);
    }

    sorted.sort((a, b) -> Float.compare(scores[3 + b], scores[3 + a]));
    for (int rank = 0; rank < topK; rank++) {
      assertThat(choice.expert(rank)).isEqualTo(sorted.get(rank));
    }
  }
}
