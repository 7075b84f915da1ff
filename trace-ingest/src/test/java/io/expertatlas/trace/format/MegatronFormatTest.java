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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MegatronFormatTest {
  private static TraceSource source(String name, String... options) {
    return TraceSource.of(Golden.path("format/megatron/" + name))
        .withOptions(FormatOptions.parse(List.of(options)));
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  /** A token, by the rule of make_megatron.py. */
  private record Token(int rank, int batch, int token) {
    int logit(int layer, int expert) {
      return (batch + 2 * rank + 3 * (layer + 1) + 2 * token + 3 * expert) % 5 - 2;
    }

    float hidden(int layer, int i) {
      return 8 * rank + 4 * batch + 2 * (layer + 1) + token + i / 4f;
    }
  }

  private static List<Token> tokens() {
    List<Token> tokens = new ArrayList<>();
    for (int rank = 0; rank < 2; rank++) {
      for (int batch = 0; batch < 4; batch++) {
        for (int token = 0; token < 3 + rank; token++) {
          tokens.add(new Token(rank, batch, token));
        }
      }
    }

    return tokens;
  }

  private static void check(RoutingTrace trace, List<Token> tokens, boolean ranked) {
    assertThat(trace.tokens()).isEqualTo(tokens.size());
    assertThat(trace.shape()).isEqualTo(new ModelShape(2, 5, 2));
    for (int i = 0; i < tokens.size(); i++) {
      Token token = tokens.get(i);
      assertThat(trace.position(i)).isEqualTo(token.token());
      for (int layer = 0; layer < 2; layer++) {
        int first = trace.expert(i, layer, 0);
        int second = trace.expert(i, layer, 1);
        assertThat(List.of(token.logit(layer, first), token.logit(layer, second)))
            .as("token %d, layer %d", i, layer)
            .containsExactlyInAnyOrder(2, 1);
        if (ranked) {
          assertThat(token.logit(layer, first)).isEqualTo(2);
        } else {
          assertThat(first).isLessThan(second);
        }
      }
    }
  }

  @Test
  void routesOfAllRanksAreRead() {
    RoutingTrace trace = read(source("good"), TokenRange.ALL);

    check(trace, tokens(), true);
    assertThat(trace.sequence(3)).isEqualTo(1);
    assertThat(trace.sequence(trace.tokens() - 1)).isEqualTo(7);
  }

  @Test
  void withoutLogitsIdsStayAsTheyAre() {
    check(read(source("routes").withExperts(5), TokenRange.ALL), tokens(), false);
    assertThatThrownBy(() -> read(source("routes"), TokenRange.ALL))
        .hasMessageContaining("Maybe add --experts E");
  }

  @Test
  void statesAreReadFromTheFilesBeside() {
    List<Token> tokens = tokens();
    try (RouterStatesReader reader =
        RouterStatesFormat.find(source("good")).open(source("good"), new TokenRange(2, 27))) {
      assertThat(reader.hiddenSize()).isEqualTo(3);
      assertThat(reader.scores()).isEqualTo(Scores.LOGITS);
      assertThat(reader.tokens()).isEqualTo(28);
      int at = 2;
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        RouterStates states = next.get();
        check(states.routes(), tokens.subList(at, at + states.tokens()), true);
        for (int token = 0; token < states.tokens(); token++, at++) {
          for (int layer = 0; layer < 2; layer++) {
            for (int i = 0; i < 3; i++) {
              assertThat(states.hidden(token, layer, i)).isEqualTo(tokens.get(at).hidden(layer, i));
            }

            for (int expert = 0; expert < 5; expert++) {
              assertThat(states.score(token, layer, expert))
                  .isEqualTo(tokens.get(at).logit(layer, expert));
            }
          }
        }
      }

      assertThat(at).isEqualTo(27);
    }
  }

  @Test
  void oneRankOrTheOtherStackMayBeChosen() {
    check(read(source("good", "ranks=1"), TokenRange.ALL), tokens().subList(12, 28), true);
    check(
        read(source("good/router_trace_rank1.jsonl"), TokenRange.ALL),
        tokens().subList(12, 28),
        true);
    assertThat(read(source("good", "block=mtp"), TokenRange.ALL).shape())
        .isEqualTo(new ModelShape(1, 5, 2));
    assertThatThrownBy(() -> read(source("good", "ranks=0,2"), TokenRange.ALL))
        .hasMessageContaining("2, it has [0, 1]");
  }

  @Test
  void everyRangeIsAPartOfTheWhole() {
    RoutingTrace whole = read(source("good"), TokenRange.ALL);
    for (int from = 0; from < 28; from += 3) {
      for (int to = from + 1; to <= 29; to++) {
        assertThat(Traces.describe(read(source("good"), new TokenRange(from, to))))
            .isEqualTo(Traces.describe(whole.slice(from, Math.min(28, to))));
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "broken-truncated; Truncated file: ; hidden_states_rank0.bin has 197 bytes",
        "broken-id; Invalid expert id 5 in ; router_trace_rank1.jsonl at step 5, lines from 4 on, token 2, layer 0, rank 1",
        "broken-twice; Invalid top-2 in ; at step 5, lines from 4 on, token 1, layer 1, rank 1: expert 3 stands at rank 0 too",
        "broken-tokens; Invalid top_indices in ; rank1.jsonl, line 1: a list of 4, expected a list of 5, as num_tokens says",
        "broken-row; Invalid top_indices in ; rank1.jsonl, line 1, token 1: [3], expected 2 whole numbers",
        "broken-layer; Invalid trace ; has layers [1, 7], those before it [1, 2]. Maybe ranks of several pipeline stages",
        "broken-block; Invalid block in ; rank1.jsonl, line 3: \"encoder\", expected",
        "broken-step; Invalid step in ; rank1.jsonl, line 3: missing",
        "broken-shape; Invalid hs_shape in ; [4,4] with 24 bytes, expected [4 tokens, size] of 2 bytes each",
        "broken-topk; Invalid trace ; rank1.jsonl, line 1: top-1, hidden size 3, 5 logits, but",
        "broken-nan; Invalid router logit NaN in ; logits_rank0.bin at byte 14",
      })
  void brokenTracesAreRefused(String name, String start, String rest) {
    TraceSource source = name.equals("broken-layer") ? source(name).withExperts(5) : source(name);
    TraceSource chosen =
        name.equals("broken-step")
            ? source.withOptions(FormatOptions.parse(List.of("block=mtp")))
            : source;
    assertThatThrownBy(() -> read(chosen, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(start)
        .hasMessageContaining(rest);
  }
}
