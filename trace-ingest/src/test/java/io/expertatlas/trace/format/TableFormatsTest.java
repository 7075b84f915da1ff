package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Formats {@code csv} and {@code jsonl}. */
class TableFormatsTest {
  private static TraceSource source(String name, String... options) {
    return TraceSource.of(Golden.path("format/tables/" + name))
        .withExperts(11)
        .withOptions(FormatOptions.parse(List.of(options)));
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "cells.csv, sequence-column=id position-column=position phase-column=phase weights-column=weights",
    "wide.csv, 'experts-column=e{layer}_{rank} weights-column=w{layer}_{rank} sequence-column=sequence position-column=position phase-column=phase'",
    "long.tsv, separator=tab layer-column=layer sequence-column=seq position-column=pos phase-column=phase weights-column=weights",
    "tokens.jsonl, weights-column=weights sequence-column=sequence position-column=position phase-column=phase",
    "layers.jsonl, experts-column=ids weights-column=gates layer-column=layer sequence-column=doc position-column=pos phase-column=kind",
  })
  void everyLayoutGivesTheSameTrace(String name, String options) {
    TraceSource source = source(name, options.split(" "));

    assertThat(Traces.describe(read(source, TokenRange.ALL)))
        .isEqualTo(Traces.describe(Golden.capture()));
    for (int from = 0; from < 7; from++) {
      for (int to = from + 1; to <= 8; to++) {
        assertThat(Traces.describe(read(source, new TokenRange(from, to))))
            .isEqualTo(Traces.describe(Golden.capture().slice(from, Math.min(7, to))));
      }
    }
  }

  @Test
  void withoutFurtherColumnsAllTokensAreOneSequence() {
    assertThat(Traces.describe(read(source("top1.jsonl"), TokenRange.ALL)))
        .isEqualTo(Traces.describe(Golden.routes(1)));
    assertThat(Traces.describe(read(source("cells.csv"), TokenRange.ALL)))
        .isEqualTo(Traces.describe(Golden.routes(2)));
  }

  @Test
  void positionsAreCountedAcrossBlocks() {
    TraceSource source = source("many.jsonl", "sequence-column=sequence");
    RoutingTrace whole = read(source, TokenRange.ALL);

    assertThat(whole.tokens()).isEqualTo(2500);
    for (int token = 0; token < 2500; token++) {
      assertThat(whole.position(token)).isEqualTo(token / 3);
      assertThat(whole.expert(token, 1, 0)).isEqualTo(5 * token % 11);
    }

    for (long[] range : new long[][] {{0, 1024}, {1023, 1025}, {1024, 2048}, {2047, 2500}}) {
      assertThat(Traces.describe(read(source, new TokenRange(range[0], range[1]))))
          .isEqualTo(Traces.describe(whole.slice((int) range[0], (int) range[1])));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '!',
      value = {
        "broken-cells.csv ! line 5: 3 cells, its header has 2",
        "broken-id.csv ! Invalid expert id 11 in ",
        "broken-id.csv ! at line 5, layer 1, rank 1: the model has experts 0 to 10",
        "broken-twice.csv ! at line 5, layer 1, rank 1: expert 2 stands at rank 0 too",
        "broken-text.csv ! line 5: 'x', expected a whole number",
        "broken-layers.csv ! line 5: expected 3 layers with 2 each, as in the first token",
        "broken-quote.csv ! line 5: its quote is not closed on the line",
        "broken-header.csv ! Missing column experts (experts-column) in ",
        "broken-empty.csv ! it holds no token",
        "broken-utf8.csv ! Invalid line 3 in ",
      })
  void brokenTablesAreRefused(String name, String message) {
    assertThatThrownBy(() -> read(source(name).withFormat("csv"), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining(source(name).path().toString())
        .hasMessageContaining(message);
  }

  @Test
  void brokenColumnsAreNamed() {
    assertThatThrownBy(
            () -> read(source("broken-sequence.csv", "sequence-column=id"), TokenRange.ALL))
        .hasMessage(
            "Invalid id in %s, line 5: '-3', expected a whole number from 0 to 2147483647"
                .formatted(source("broken-sequence.csv").path()));
    assertThatThrownBy(() -> read(source("cells.csv", "phase-column=id"), TokenRange.ALL))
        .hasMessageContaining("line 2: '4', expected 0, 1, prefill or decode");
    assertThatThrownBy(() -> read(source("cells.csv", "sequence-column=nix"), TokenRange.ALL))
        .hasMessageContaining("Missing column nix (sequence-column) in ")
        .hasMessageContaining("it has [id, position, phase, experts, weights]");
  }

  @Test
  void brokenLayersAreNamed() {
    String[] options = {"separator=tab", "layer-column=layer", "sequence-column=seq"};
    assertThatThrownBy(() -> read(source("broken-truncated.tsv", options), TokenRange.ALL))
        .hasMessage(
            "Truncated table: %s has 20 lines, no multiple of the 3 layers of its first token"
                .formatted(source("broken-truncated.tsv").path()));
    assertThatThrownBy(() -> read(source("broken-order.tsv", options), TokenRange.ALL))
        .hasMessage(
            "Invalid layer 7 in %s, line 6: expected 4, as in the first token"
                .formatted(source("broken-order.tsv").path()));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '!',
      value = {
        "broken-ids.jsonl ! Invalid expert id \"4\" in ! line 2: expected a whole number",
        "broken-json.jsonl ! Invalid JSON in ! line 2",
        "broken-missing.jsonl ! Missing sequence in ! line 2",
        "broken-ragged.jsonl ! Invalid number of expert ids in ! line 2: expected 3 layers with 2 each",
      })
  void brokenLinesAreRefused(String name, String start, String rest) {
    assertThatThrownBy(() -> read(source(name, "sequence-column=sequence"), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(start + " " + source(name).path())
        .hasMessageContaining(rest);
  }

  @Test
  void cellsAreSplitAsOthersWriteThem() {
    assertThat(CsvFormat.split("a,,\"b,\"\"c\"\"\",", ',', "p"))
        .containsExactly("a", "", "b,\"c\"", "");
    assertThat(CsvFormat.split("", ',', "p")).containsExactly("");
    assertThat(Arrays.asList("x")).isEqualTo(CsvFormat.split("\"x\"", ',', "p"));
    assertThatThrownBy(() -> CsvFormat.split("\"x\"y", ',', "p"))
        .hasMessage("Invalid cell 1 in p: text behind its quote");
  }
}
