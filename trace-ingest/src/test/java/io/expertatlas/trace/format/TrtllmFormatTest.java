package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Counts;
import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrtllmFormatTest {
  private static TraceSource source(String name) {
    return TraceSource.of(Golden.path("format/trtllm/" + name));
  }

  private static RoutingTrace read(String name) {
    try (TraceReader reader = TraceFormat.openTrace(source(name))) {
      return Traces.readAll(reader);
    }
  }

  private static int id(int iteration, int rank, int layer, int token, int choice) {
    return (iteration + 3 * rank + (layer == 0 ? 3 : 11) + 2 * token + 3 * choice) % 7;
  }

  @Test
  void rawStatisticsAreRoutes() {
    RoutingTrace trace = read("good");

    assertThat(trace.shape()).isEqualTo(new ModelShape(2, 7, 2));
    int at = 0;
    int sequence = 0;
    for (int iteration : new int[] {9, 10}) {
      for (int rank = 0; rank < 2; rank++, sequence++) {
        for (int token = 0; token < 3 + rank; token++, at++) {
          assertThat(trace.sequence(at)).isEqualTo(sequence);
          assertThat(trace.position(at)).isEqualTo(token);
          for (int layer = 0; layer < 2; layer++) {
            for (int choice = 0; choice < 2; choice++) {
              assertThat(trace.expert(at, layer, choice))
                  .isEqualTo(id(iteration, rank, layer, token, choice));
            }
          }
        }
      }
    }

    assertThat(trace.tokens()).isEqualTo(at);
  }

  @Test
  void countsAreWindowsOfEachIterationAndRank() {
    List<ExpertCounts> counts = Counts.readAll(source("counts"));

    assertThat(counts).hasSize(4);
    for (int i = 0; i < 4; i++) {
      int iteration = 9 + i / 2;
      int rank = i % 2;
      assertThat(counts.get(i).step()).isEqualTo(iteration);
      assertThat(counts.get(i).rank()).isEqualTo(OptionalInt.of(rank));
      assertThat(counts.get(i).window()).isEqualTo("iteration " + iteration);
      for (int layer = 0; layer < 2; layer++) {
        long[] expected = new long[7];
        for (int token = 0; token < 3 + rank; token++) {
          expected[id(iteration, rank, layer, token, 0)]++;
          expected[id(iteration, rank, layer, token, 1)]++;
        }

        assertThat(Counts.row(counts.get(i), layer)).containsExactly(expected);
      }
    }
  }

  @Test
  void aFolderOfCountsIsNoTrace() {
    assertThatThrownBy(() -> read("counts"))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read routes from %s: format trtllm holds counts of tokens for each expert only, no token's route and so no affinity. Maybe look at it with atlas inspect, or at its popularity with atlas analyze --counts"
                .formatted(source("counts").path()));
    assertThat(CountsFormat.find(source("good")).name()).isEqualTo("trtllm");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "broken-layer; iteration 10 has layers [11], others have [3, 11]",
        "broken-id; at iteration 9, token 2, layer 1, rank 1: the model has experts 0 to 6",
        "broken-twice; at iteration 9, token 2, layer 1, rank 1: expert",
        "broken-shape; Invalid shape of tensor 10_11 in",
        "broken-meta; Invalid num_experts in",
        "broken-name; Invalid tensor extra (I32) in",
        "broken-empty; no iteration stands in its files named rank<r>_raw.safetensors",
      })
  void brokenRawStatisticsAreRefused(String name, String message) {
    assertThatThrownBy(() -> read(name))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining(source(name).path().toString())
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "broken-layer; iteration 10 has layers [11], others have [3, 11]",
        "broken-count; Invalid count -2 in",
        "broken-count; rank1.safetensors, tensor 10_3, expert 5: at least 0",
        "broken-shape; [6], expected [7], a count for each expert",
        "broken-meta; \"many\", expected a whole number from 1",
        "broken-empty; no iteration stands in its files named rank<r>.safetensors",
      })
  void brokenCountsAreRefused(String name, String message) {
    assertThatThrownBy(() -> Counts.readAll(source(name)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining(source(name).path().toString())
        .hasMessageContaining(message);
  }
}
