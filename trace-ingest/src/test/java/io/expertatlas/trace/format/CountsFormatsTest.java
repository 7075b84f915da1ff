package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Counts;
import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Formats {@code smartmoe}, {@code moe-infinity} and {@code vllm-eplb}. */
class CountsFormatsTest {
  private static TraceSource source(String name) {
    return TraceSource.of(Golden.path("format/counts/" + name));
  }

  @ParameterizedTest
  @CsvSource({
    "smartmoe, smartmoe",
    "moe-infinity.npy, moe-infinity",
    "moe-infinity-none.npy, moe-infinity",
    "vllm-eplb.jsonl, vllm-eplb"
  })
  void formatsAreFoundByLooking(String name, String format) {
    assertThat(CountsFormat.find(source(name)).name()).isEqualTo(format);
    assertThat(CountsFormat.fits(source(name))).isTrue();
    try (CountsReader reader =
        CountsFormat.openCounts(source(name).withFormat(format).withExperts(4))) {
      assertThat(reader.layers()).isEqualTo(3);
      assertThat(reader.experts()).isEqualTo(4);
    }
  }

  @Test
  void logsOfSmartMoeAreWindowsOfMicroBatches() {
    List<ExpertCounts> counts = Counts.readAll(source("smartmoe"));

    assertThat(counts).hasSize(8);
    for (int i = 0; i < 8; i++) {
      int iteration = i < 4 ? 1 : 11;
      int rank = i / 2 % 2 * 10;
      int batch = i % 2;
      ExpertCounts window = counts.get(i);
      assertThat(window.window())
          .isEqualTo("iteration %d, micro-batch %d".formatted(iteration, batch));
      assertThat(window.step()).isEqualTo(iteration);
      assertThat(window.rank()).isEqualTo(OptionalInt.of(rank));
      for (int layer = 0; layer < 3; layer++) {
        for (int expert = 0; expert < 4; expert++) {
          assertThat(window.count(layer, expert))
              .isEqualTo(100L * iteration + 10 * rank + 4 * batch + 7 * layer + expert);
        }
      }
    }

    assertThat(Counts.readAll(source("smartmoe/table_iter11_rank0.log"))).hasSize(2);
  }

  @Test
  void matricesOfMoeInfinityAreWindowsOfRequests() {
    List<ExpertCounts> counts = Counts.readAll(source("moe-infinity.npy"));

    assertThat(counts).hasSize(3);
    for (int request = 0; request < 3; request++) {
      assertThat(counts.get(request).rank()).isEmpty();
      for (int layer = 0; layer < 3; layer++) {
        for (int expert = 0; expert < 4; expert++) {
          assertThat(counts.get(request).count(layer, expert))
              .isEqualTo(50L * request + 7 * layer + expert);
        }
      }
    }

    assertThat(Counts.readAll(source("moe-infinity-none.npy"))).isEmpty();
  }

  @Test
  void slotsOfVllmAreAddedUpByLogicalExpert() {
    List<ExpertCounts> counts = Counts.readAll(source("vllm-eplb.jsonl"));

    assertThat(counts).hasSize(2);
    for (int i = 0; i < 2; i++) {
      long step = 100 * (i + 1);
      assertThat(counts.get(i).step()).isEqualTo(step);
      for (int layer = 0; layer < 3; layer++) {
        long base = step + 10 * layer;
        long[] expected = {base, base + 1 + base + 4, base + 2, base + 3};
        expected[i == 0 ? 0 : 3] += base + 5;
        assertThat(Counts.row(counts.get(i), layer)).containsExactly(expected);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"smartmoe, smartmoe", "vllm-eplb.jsonl, vllm-eplb"})
  void countsAreNoTrace(String name, String format) {
    for (TraceSource source : List.of(source(name), source(name).withFormat(format))) {
      assertThatThrownBy(() -> TraceFormat.openTrace(source))
          .isInstanceOf(TraceFormatException.class)
          .hasMessage(
              "Cannot read routes from %s: format %s holds counts of tokens for each expert only, no token's route and so no affinity. Maybe look at it with atlas inspect, or at its popularity with atlas analyze --counts"
                  .formatted(source(name).path(), format));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "broken-smartmoe-half; smartmoe; Invalid count 1208.5 in ; table_iter11_rank10.log, micro-batch 0, layer 1, expert 1: expected a whole number",
        "broken-smartmoe-line; smartmoe; Invalid line 3 in ; two:[[1214.0",
        "broken-smartmoe-layer; smartmoe; Invalid layers [0, 1, 3] in ; expected 0 to 2 with 4 experts, as in",
        "broken-smartmoe-twice; smartmoe; Invalid line 3 in ; layer 1 stands twice",
        "broken-smartmoe-short; smartmoe; Invalid table of layer 1 in ; 2 micro-batches, the one numbered 0 with 3 counts, expected 2 with 4",
        "broken-smartmoe-nan; smartmoe; Invalid list in ; line 2",
        "broken-smartmoe-empty; smartmoe; Invalid layers [] in ; table_iter11_rank10.log",
        "broken-moe-infinity-negative.npy; moe-infinity; Invalid count -1.0 in ; request 2, layer 1, expert 3: expected a whole number of at least 0",
        "broken-moe-infinity-axes.npy; moe-infinity; Invalid counts in ; F32 [3, 4], expected floating-point numbers [requests, layers, experts]",
        "broken-eplb-version.jsonl; vllm-eplb; Invalid version in ; line 2: 2, expected",
        "broken-eplb-type.jsonl; vllm-eplb; Invalid record_type in ; line 2: \"x\"",
        "broken-eplb-none.jsonl; vllm-eplb; Cannot read counts from ; no record of type eplb_load_stats",
        "broken-eplb-map.jsonl; vllm-eplb; Invalid expert id -1 in p2l_map in ; line 2, layer 0, slot 5",
        "broken-eplb-slots.jsonl; vllm-eplb; Invalid record in ; line 2, layer 0: 6 loads, but p2l_map has 5 slots",
        "broken-eplb-layers.jsonl; vllm-eplb; Invalid record in ; line 2: expert_load of 2 layers, p2l_map of 3, expected 3",
        "broken-eplb-load.jsonl; vllm-eplb; Invalid count \"x\" in ; line 2, slot 2, layer 2, expert 2: expected a number",
        "broken-eplb-step.jsonl; vllm-eplb; Invalid step in ; line 2: -1",
      })
  void brokenCountsAreRefused(String name, String format, String start, String rest) {
    assertThatThrownBy(() -> Counts.readAll(source(name).withFormat(format)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(start + " " + source(name).path())
        .hasMessageContaining(rest);
  }

  @Test
  void theNumberOfExpertsIsCompared() {
    for (String name : List.of("smartmoe", "moe-infinity.npy")) {
      assertThatThrownBy(() -> Counts.readAll(source(name).withExperts(5)))
          .hasMessageContaining("5 by --experts, 4 by");
    }

    assertThatThrownBy(() -> Counts.readAll(source("vllm-eplb.jsonl").withExperts(3)))
        .hasMessageContaining("Invalid expert id 3 in p2l_map");
  }
}
