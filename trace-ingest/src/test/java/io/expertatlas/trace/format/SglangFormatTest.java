package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SglangFormatTest {
  private static final int LAYERS = 4; // of the model, the first is dense
  private static final int EXPERTS = 5;
  private static final int[][] MAP = {
    {0, 1, 2, 3, 4, 0, 1, 2},
    {4, 3, 2, 1, 0, 4, 3, 2},
    {0, 0, 0, 1, 1, 2, 3, 4},
    {1, 2, 3, 4, 0, 1, 2, 3}
  };

  private static TraceSource source(String name, String... options) {
    return TraceSource.of(Golden.path("format/dumps/" + name))
        .withOptions(FormatOptions.parse(List.of(options)));
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  /** The rule of make_dumps.py. */
  private static int[] logical(int firstToken, int tokens) {
    int[] ids = new int[tokens * 3 * 2];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (3 * (firstToken + i / 6) + 5 * (1 + i / 2 % 3) + i % 2) % EXPERTS;
    }

    return ids;
  }

  private static int[] column(RoutingTrace trace, IntUnaryOperator value) {
    return IntStream.range(0, trace.tokens()).map(value).toArray();
  }

  @Test
  void physicalChoicesOfAllRanksBecomeLogicalOnes() {
    RoutingTrace trace = read(source("sglang-per-token"), TokenRange.ALL);

    assertThat(trace.shape()).isEqualTo(new ModelShape(3, EXPERTS, 2));
    assertThat(Traces.choices(trace)).isEqualTo(logical(0, 22));
    assertThat(column(trace, trace::position))
        .containsExactly(0, 1, 2, 0, 1, 3, 2, 0, 1, 2, 3, 4, 3, 4, 5, 4, 5, 7, 8, 9, 0, 6);
    assertThat(column(trace, trace::sequence))
        .containsExactly(0, 0, 0, 1, 1, 0, 1, 2, 2, 2, 2, 3, 4, 5, 3, 4, 5, 6, 6, 6, 7, 8);
    assertThat(column(trace, t -> trace.phase(t) == Phase.DECODE ? 1 : 0))
        .containsExactly(0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1);
    assertThat(trace.hasWeights()).isFalse();
  }

  @Test
  void oneRankIsReadAlone() {
    assertThat(Traces.choices(read(source("sglang-per-token", "rank=1"), TokenRange.ALL)))
        .isEqualTo(logical(17, 5));
    assertThat(Traces.describe(read(source("sglang-per-token", "rank=0"), TokenRange.ALL)))
        .isEqualTo(Traces.describe(read(source("sglang-per-token.pt"), TokenRange.ALL)));
    assertThatThrownBy(() -> read(source("sglang-per-token", "rank=7"), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("Missing rank 7 in SGLang dump");
  }

  @Test
  void anySplitGivesTheSameTokens() {
    TraceSource source = source("sglang-per-token");
    RoutingTrace whole = read(source, TokenRange.ALL);
    for (int step = 1; step < 22; step++) {
      List<RoutingTrace> parts = new ArrayList<>();
      for (int from = 0; from < 22; from += step) {
        parts.add(read(source, new TokenRange(from, from + step)));
      }

      assertThat(Traces.describe(Traces.concat(whole.shape(), false, parts)))
          .isEqualTo(Traces.describe(whole));
    }
  }

  @Test
  void ranksThatSawTheSameTokensAreNotCountedTwice() {
    TraceSource source = source("sglang-same-tokens");

    assertThatThrownBy(() -> read(source, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read ranks 0 and 1 of %s together: they recorded the same tokens. Maybe add --format-option rank=0"
                .formatted(source.path()));
    assertThat(read(source("sglang-same-tokens", "rank=1"), TokenRange.ALL).tokens()).isEqualTo(17);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "sglang-id.pt; Invalid physical expert 8 at records[0].topk_ids_of_layer; layer 2, token 3, rank 1: the dump maps 0 to 7",
        "sglang-hole.pt; layer 2, token 3: [-1, ; expected 2 experts, as for the first token, then -1",
        "sglang-dense.pt; layer 0, token 4: [1, -1; expected none, as for the first token, in a dense layer",
        "sglang-replicas.pt; after mapping to logical experts: Invalid top-2 at token 1, layer 1: expert 0 stands at ranks 0 and 1",
        "sglang-positions.pt; Invalid number of positions at records[0].positions; 3 for 5 tokens",
        "sglang-position.pt; Invalid position -2 at records[0].positions; token 2",
        "sglang-lengths.pt; Invalid lengths at records[0].extend_seq_lens; their sum is 6, but the pass has 5 tokens",
        "sglang-no-positions.pt; Missing positions in records[0] of; its keys are [forward_pass_id, ",
        "sglang-text.pt; Invalid value at records[0].positions; a text, expected a list",
        "sglang-floats.pt; Cannot read whole numbers from; a tensor of float32",
        "sglang-axes.pt; a tensor (4, 5) of int32, expected a tensor of 3 axes",
        "sglang-layers.pt; a tensor (3, 5, 8) of int32, expected a tensor (4 layers, tokens, choices)",
        "sglang-map.pt; Invalid logical expert 9 at last_physical_to_logical_map; layer 0, physical expert 1: 0 to 1",
      })
  void brokenDumpsSayWhatAndWhere(String nameAndMessages) {
    String[] parts = nameAndMessages.split("; ");

    assertThatThrownBy(() -> read(source("broken/" + parts[0]), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContainingAll(parts);
  }

  @Test
  void whatIsNoDumpSaysWhatItIs() {
    TraceSource keys = source("broken/sglang-keys.pt").withFormat("sglang");
    TraceSource counts = source("sglang-stat.pt").withFormat("sglang");

    assertThatThrownBy(() -> read(keys, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("a dict with keys [state, epoch], expected a dict with key")
        .hasMessageContaining("logical_count");
    assertThatThrownBy(() -> new SglangFormat().open(counts, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("it holds counts only (a dict with keys [rank, logical_count")
        .hasMessageContaining("Maybe record with mode per_token");
    assertThatThrownBy(
            () ->
                new SglangFormat().open(source("sglang-per-token").withExperts(9), TokenRange.ALL))
        .hasMessageContaining("9 by --experts, 5 by the physical-to-logical map");
  }

  private static List<ExpertCounts> counts(TraceSource source) {
    try (CountsReader reader = CountsFormat.openCounts(source)) {
      List<ExpertCounts> all = new ArrayList<>();
      for (Optional<ExpertCounts> next = reader.next(); next.isPresent(); next = reader.next()) {
        all.add(next.get());
        assertThat(next.get().layers()).isEqualTo(reader.layers());
        assertThat(next.get().experts()).isEqualTo(reader.experts());
      }

      return all;
    }
  }

  private static long[] all(ExpertCounts counts) {
    long[] numbers = new long[counts.layers() * counts.experts()];
    Arrays.setAll(numbers, i -> counts.count(i / counts.experts(), i % counts.experts()));
    return numbers;
  }

  @ParameterizedTest
  @ValueSource(strings = {"sglang-stat.pt", "sglang-stat-old.pt", "sglang-stat.pt.gz"})
  void statHasAWindowForEachPass(String name) {
    List<ExpertCounts> windows = counts(source(name));

    assertThat(windows).extracting(ExpertCounts::step).containsExactly(0L, 1L, 3L);
    for (ExpertCounts window : windows) {
      long[] expected = new long[(LAYERS - 1) * EXPERTS];
      Arrays.setAll(expected, i -> (window.step() + 1) * (1 + i / EXPERTS) * (1 + i % EXPERTS));
      assertThat(all(window)).isEqualTo(expected);
    }
  }

  @ParameterizedTest
  @CsvSource({"sglang-per-pass, ''", "sglang-per-pass, rank=1"})
  void countsOfPhysicalExpertsAreAddedOverReplicasAndRanks(String name, String option) {
    List<ExpertCounts> windows = counts(option.isEmpty() ? source(name) : source(name, option));

    assertThat(windows)
        .extracting(ExpertCounts::step)
        .isEqualTo(option.isEmpty() ? List.of(0L, 1L, 2L) : List.of(0L, 2L));
    for (ExpertCounts window : windows) {
      long[] expected = new long[(LAYERS - 1) * EXPERTS];
      for (int rank = option.isEmpty() ? 0 : 1; rank < 2; rank++) {
        for (int i = 0; i < LAYERS * 8 && (rank == 0 || window.step() != 1); i++) {
          int layer = i / 8;
          if (layer > 0) {
            expected[(layer - 1) * EXPERTS + MAP[layer][i % 8]] +=
                layer * (10 * (i % 8) + window.step() + 100 * rank);
          }
        }
      }

      assertThat(all(window)).as(window.window()).isEqualTo(expected);
    }
  }

  @Test
  void csvFilesOfRanksAreAdded() {
    List<ExpertCounts> windows = counts(source("sglang-csv"));

    assertThat(windows).hasSize(1);
    long[] expected = new long[(LAYERS - 1) * EXPERTS];
    Arrays.setAll(expected, i -> 3L * (1 + i / EXPERTS) * (1 + i % EXPERTS));
    assertThat(all(windows.get(0))).isEqualTo(expected);
    assertThat(all(counts(source("sglang-csv/rank-1.csv")).get(0))[1]).isEqualTo(4);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "sglang-stat.pt; Invalid count -1 at logical_count; window 0, layer 1, expert 0: at least 0",
        "sglang-stat-zero.pt; no token was counted in any of its 4 windows",
        "sglang-stat-axes.pt; a tensor (4, 5) of int32, expected a tensor of 3 axes",
        "sglang-missing.csv; 3 lines, expected one for each of 2 layers x 2 experts",
        "sglang-twice.csv; Invalid line 3 of; layer 0, expert 0 stands twice",
        "sglang-line.csv; Invalid line 3 of; '0,1,two', expected layer_id,expert_id,count",
        "sglang-none.pt; no token was counted in any of its 0 windows",
      })
  void brokenCountsSayWhatAndWhere(String nameAndMessages) {
    String[] parts = nameAndMessages.split("; ");

    assertThatThrownBy(() -> counts(source("broken/" + parts[0])))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContainingAll(parts);
  }
}
