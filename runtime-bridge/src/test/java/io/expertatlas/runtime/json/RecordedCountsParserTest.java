package io.expertatlas.runtime.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.pipeline.PipelineFormatException;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.pipeline.StepRouting;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class RecordedCountsParserTest {
  /** Two steps of two layers, a micro-batch of two tokens, two experts each of three. */
  private static final String COUNTS =
      """
      {"format-version": 1, "layers": 2, "experts": 3, "top-k": 2, "batch": 1,
       "micro-batches": 1, "sequence-length": 2, "parameters": 99, "first-step": 7,
       "counts": [[[[2, 1, 1]], [[0, 2, 2]]], [[[1, 1, 2]], [[4, 0, 0]]]]}
      """;

  @TempDir private Path folder;

  private static RecordedCounts parse(String json) {
    return RecordedCountsParser.fromJson(json, "c.json");
  }

  @Test
  void countsAreReadByStepLayerMicroBatchAndExpert() {
    RecordedCounts counts = parse(COUNTS);
    assertThat(counts.steps()).hasSize(2);
    assertThat(counts.layers()).isEqualTo(2);
    assertThat(counts.microBatches()).isEqualTo(1);
    assertThat(counts.experts()).isEqualTo(3);
    assertThat(counts.topK()).isEqualTo(2);
    assertThat(counts.parameters()).isEqualTo(99);
    assertThat(counts.firstStep()).isEqualTo(7);
    assertThat(counts.steps().get(1).counts(0, 0)).containsExactly(1, 1, 2);
    assertThat(counts.steps().get(0).counts(1, 0)).containsExactly(0, 2, 2);
    assertThat(counts.steps().get(0).predicted(1, 0)).isEmpty();
  }

  /** One step, layer, micro-batch or expert among them. */
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void writtenCountsAreReadAsTheyWere(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    int layers = 1 + random.nextInt(4);
    int chunks = 1 + random.nextInt(3);
    int experts = 1 + random.nextInt(5);
    int tokens = 1 + random.nextInt(6);
    List<StepRouting> steps = new ArrayList<>();
    for (int step = random.nextInt(3); step >= 0; step--) {
      int[][][] counts = new int[layers][chunks][experts];
      for (int[][] layer : counts) {
        for (int[] chunk : layer) {
          for (int token = 0; token < tokens; token++) {
            chunk[random.nextInt(experts)]++;
          }
        }
      }

      steps.add(new StepRouting(counts, new int[0][][]));
    }

    RecordedCounts counts = new RecordedCounts(1, chunks, tokens, 1L << 40, 1, steps);
    Path file = folder.resolve("counts.json");
    RecordedCountsParser.write(counts, file);
    RecordedCounts read = RecordedCountsParser.read(file);
    assertThat(read.parameters()).isEqualTo(1L << 40);
    assertThat(read.batch()).isEqualTo(chunks);
    assertThat(read.sequenceLength()).isEqualTo(tokens);
    assertThat(read.steps()).hasSameSizeAs(steps);
    for (int step = 0; step < steps.size(); step++) {
      for (int layer = 0; layer < layers; layer++) {
        for (int chunk = 0; chunk < chunks; chunk++) {
          assertThat(read.steps().get(step).counts(layer, chunk))
              .containsExactly(steps.get(step).counts(layer, chunk));
        }
      }
    }

    assertThat(Files.readAllLines(file)).hasSize(1 + steps.size());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"format-version\": 1 | \"format-version\": 2 | format-version is 2, expected 1",
        "\"layers\": 2, | '' | layers is missing",
        "\"top-k\": 2 | \"top-k\": 0 | top-k is 0, expected a whole number from 1 to 2147483647",
        "\"first-step\": 7, | \"first-step\": 7, \"step\": 1, | step is not known, known are batch,",
        "\"layers\": 2 | \"layers\": 3 | counts[0] has 2 entries, expected 3",
        "\"micro-batches\": 1 | \"micro-batches\": 2 | counts[0][0] has 1 entries, expected 2",
        "[2, 1, 1] | [2, 2] | counts[0][0][0] has 2 entries, expected 3",
        "[2, 1, 1] | [5, -2, 1] | counts[0][0][0] is -2, expected a whole number from 0 to",
        "[2, 1, 1] | [1, 1, 1.5] | counts[0][0][0] is 1.5, expected a whole number from 0 to",
        "[2, 1, 1] | 4 | counts[0][0][0] is 4, expected an array",
        "[1, 1, 2] | [1, 1, 1] | Invalid counts: step 1, layer 0, micro-batch 0 have 3 tokens, expected 4",
        "[[[[2, 1, 1]], [[0, 2, 2]]], [[[1, 1, 2]], [[4, 0, 0]]]] | [] | Invalid counts: 0 steps, top-k 2",
        "\"batch\": 1 | \"batch\": 2 | Invalid counts: step 0, layer 0, micro-batch 0 have 4 tokens, expected 8",
        "{\"format | [{\"format | not JSON at line 3, column"
      })
  void brokenFilesAreRefusedWithTheirNameAndField(String from, String to, String message) {
    String broken = COUNTS.replace(from, to);
    assertThat(broken).isNotEqualTo(COUNTS);
    assertThatThrownBy(() -> parse(broken))
        .isInstanceOf(PipelineFormatException.class)
        .hasMessageStartingWith("Cannot read c.json: ")
        .hasMessageContaining(message.startsWith("not JSON") ? "not JSON" : message);
  }

  @Test
  void countsThatDoNotBelongTogetherAreRefused() {
    StepRouting small = new StepRouting(new int[][][] {{{2}}}, new int[0][][]);
    StepRouting large = new StepRouting(new int[][][] {{{2}}, {{2}}}, new int[0][][]);
    assertThatThrownBy(() -> new RecordedCounts(1, 1, 2, 1, 1, List.of(small, large)))
        .hasMessage(
            "Invalid counts: step 1 has 2 layers, 1 micro-batches, 1 experts, the first has 1, 1, 1");
    StepRouting halves = new StepRouting(new int[][][] {{{2}, {2}}}, new int[0][][]);
    assertThatThrownBy(() -> new RecordedCounts(1, 3, 2, 1, 1, List.of(halves)))
        .hasMessage("Invalid counts: batch 3 in 2 micro-batches, which do not divide it");
  }
}
