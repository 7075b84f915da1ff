package io.expertatlas.runtime.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.PipelineFormatException;
import io.expertatlas.runtime.pipeline.Preset;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import io.expertatlas.runtime.sim.Machine;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LookupTableParserTest {
  private static final String TABLE =
      """
      {"format-version": 1, "name": "t", "unit": "milliseconds",
       "machine": {"description": "m", "cpu-cores": 7},
       "layer": {"dim": 4, "hidden": 8, "expert-matrices": 3, "bytes-per-value": 2},
       "load-expert": [3, 1, 2], "load-attention": [0.5],
       "load-gate": [{"experts": 8, "samples": [0.1]}, {"experts": 16, "samples": [0.3]}],
       "cpu-forward": [{"tokens": 1, "samples": [5, 7, 6]}, {"tokens": 4, "samples": [4]}],
       "gpu-backward": [{"tokens": 2, "samples": [0.25]}]}
      """;

  private static LookupTable parse(String json) {
    return LookupTableParser.fromJson(json, "t.json");
  }

  @Test
  void samplesAreKeptInNanosecondsAndTimesAreTheirMedians() {
    LookupTable table = parse(TABLE);
    assertThat(table.loadExpertNanos()).isEqualTo(2e6);
    assertThat(table.loadExpertSamples()).containsExactly(3e6, 1e6, 2e6);
    assertThat(table.loadAttentionNanos()).isEqualTo(5e5);
    assertThat(table.machine()).isEqualTo(new LookupTable.Machine("m", 7));
    assertThat(table.shape().expertBytes()).isEqualTo(3 * 4 * 8 * 2);
    assertThat(table.measured(Curve.CPU_FORWARD).orElseThrow().nanos(1)).isEqualTo(6e6);
    assertThat(table.monotone(Curve.CPU_FORWARD).orElseThrow().nanos(1)).isEqualTo(5e6);
    assertThat(table.monotone(Curve.GPU_BACKWARD).orElseThrow().nanos(4)).isEqualTo(5e5);
    assertThat(table.monotone(Curve.CPU_BACKWARD)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({"8, 100000", "16, 300000", "12, 200000", "32, 700000", "4, 0"})
  void gatesLieOnTheLineThroughTheNearestTwo(int experts, long nanos) {
    assertThat(Math.round(parse(TABLE).loadGateNanos(experts))).isEqualTo(nanos);
  }

  @Test
  void tablesSurviveTheRoundTrip() {
    String json = LookupTableParser.toJson(parse(TABLE));
    assertThat(json).contains("\"unit\" : \"nanoseconds\"", "\"format-version\" : 1");
    assertThat(LookupTableParser.toJson(parse(json))).isEqualTo(json);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"format-version\": 1 | \"format-version\": 3 | format-version is 3, expected 1 to 2",
        "\"format-version\": 1 | \"format-version\": 2 | training is missing",
        "\"name\": \"t\", | '' | name is missing",
        "milliseconds | hours | unit is hours, expected one of microseconds, milliseconds, nanoseconds, seconds",
        "\"cpu-cores\": 7 | \"cpu-cores\": 0 | machine.cpu-cores is 0, expected a whole number from 1 to 2147483647",
        "\"dim\": 4, | \"dim\": 4, \"heads\": 2, | layer.heads is not known, known are bytes-per-value, dim, expert-matrices, hidden",
        "[3, 1, 2] | [3, null, 2] | load-expert[1] is null, expected a number of at least 0",
        "[3, 1, 2] | [] | Invalid samples of a time: [], expected positive numbers, at least one",
        "\"experts\": 16 | \"experts\": \"16\" | load-gate[1].experts is \"16\", expected a whole number from 1 to 2147483647",
        "\"tokens\": 4 | \"tokens\": 1 | cpu-forward: Invalid token counts of a curve: 1 after 1, expected ascending ones from 1",
        "cpu-forward | cpu-sideward | cpu-forward is missing",
        "\"unit\" | \"name\": \"u\", \"unit\" | a key stands twice at line 1, column 42",
        "{\"format | [{\"format | not JSON at line 9, column 1"
      })
  void brokenTablesAreRefusedWithTheirFileAndField(String from, String to, String message) {
    String broken = TABLE.replace(from, to);
    assertThat(broken).isNotEqualTo(TABLE);
    assertThatThrownBy(() -> parse(broken))
        .isInstanceOf(PipelineFormatException.class)
        .hasMessageStartingWith("Cannot read t.json: " + message.substring(0, 12))
        .hasMessageContaining(message.contains("at line") ? message.split(" at ")[0] : message);
  }

  /** Version 2 of the same layer, all samples 1 unit. */
  private static String ofTraining() {
    StringBuilder text = new StringBuilder(TABLE.strip().replace(": 1, \"name", ": 2, \"name"));
    text.setLength(text.length() - 1);
    for (Curve curve : Curve.values()) {
      if (curve != Curve.CPU_FORWARD && curve != Curve.GPU_BACKWARD) {
        text.append(", \"%s\": [{\"tokens\": 2, \"samples\": [1]}]".formatted(key(curve)));
      }
    }

    text.append(
        ", \"training\": {\"experts\": 8, \"top-k\": 2, \"heads\": 1, \"vocabulary\": 9,"
            + " \"tokens\": 2, \"sequence-length\": 2, \"peak-bytes\": 77,"
            + " \"optimizer-parameters\": 10");
    for (Piece piece : Piece.values()) {
      text.append(", \"%s\": [1]".formatted(key(piece)));
    }

    return text.append("}}").toString();
  }

  private static String key(Enum<?> what) {
    return what.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  @Test
  void profilesOfTrainingSurviveTheRoundTrip() {
    LookupTable table = parse(ofTraining());
    assertThat(table.isOfTraining()).isTrue();
    assertThat(table.training().sizes().peakBytes()).isEqualTo(77);
    assertThat(table.training().nanos(Piece.STORE_EXPERT)).isEqualTo(1e6);
    assertThat(table.training().optimizerNanos()).isEqualTo(1e5);
    String json = LookupTableParser.toJson(table);
    assertThat(json).contains("\"format-version\" : 2");
    assertThat(LookupTableParser.toJson(parse(json))).isEqualTo(json);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"store-gate\": [1] | \"store-gates\": [1] | training.store-gate is missing",
        "\"store-gate\": [1] | \"store-gate\": [0] | Invalid samples of a time: [0.0], expected positive numbers, at least one",
        "\"peak-bytes\": 77 | \"peak-bytes\": 0 | training.peak-bytes is 0, expected a whole number from 1 to 9223372036854775807",
        "\"top-k\": 2 | \"top-k\": 2, \"k\": 3 | training.k is not known",
        "embed-forward | embedded | Invalid lookup table t: a profile of training needs the curve EMBED_FORWARD",
        "\"format-version\": 2 | \"format-version\": 1 | training is not known"
      })
  void brokenProfilesOfTrainingAreRefused(String from, String to, String message) {
    String broken = ofTraining().replace(from, to);
    assertThat(broken).isNotEqualTo(ofTraining());
    assertThatThrownBy(() -> parse(broken))
        .isInstanceOf(PipelineFormatException.class)
        .hasMessageStartingWith("Cannot read t.json: " + message);
  }

  @Test
  void nothingIsNoTable() {
    assertThatThrownBy(() -> parse("")).hasMessage("Cannot read t.json: not a JSON object");
    assertThatThrownBy(() -> parse("[1]")).hasMessage("Cannot read t.json: not a JSON object");
  }

  @ParameterizedTest
  @CsvSource({
    "S, 128, 8192, 3202.1999, 1690.1493, 50.7832, 118705.89",
    "M, 16, 4096, 19045.8298, 7804.3938, 60.5583, 132712.1735",
    "L, 8, 4096, 61514.3776, 35988.0924, 83.9233, 338723.3734"
  })
  void presetsShipTheArtifactsNumbers(
      String name, int batch, int most, double expert, double attention, double gate, double cpu) {
    Preset preset = Presets.find(name);
    assertThat(preset.layers()).isEqualTo(32);
    assertThat(preset.batchSize()).isEqualTo(batch);
    assertThat(preset.table().loadExpertNanos()).isEqualTo(expert * 1e3);
    assertThat(preset.table().loadAttentionNanos()).isEqualTo(attention * 1e3);
    assertThat(preset.table().loadGateNanos(16)).isEqualTo(gate * 1e3);
    assertThat(preset.table().measured(Curve.CPU_FORWARD).orElseThrow().nanos(most))
        .isEqualTo(cpu * 1e3);
    assertThat(preset.table().machine().cpuCores()).isEqualTo(14);
  }

  @Test
  void anUnknownPresetIsRefused() {
    assertThatThrownBy(() -> Presets.find("XL")).hasMessage("Invalid preset: XL, one of S, M, L");
  }

  @Test
  void machinesSurviveTheRoundTripAndKnowTheirParts() {
    Machine paper = MachineParser.paper();
    assertThat(MachineParser.fromJson(MachineParser.toJson(paper), "m")).isEqualTo(paper);
    assertThat(paper.gpus()).isEqualTo(32);
    assertThat(paper.complexOf(9)).isEqualTo(4);
    assertThat(paper.isOneNode(7, 8)).isFalse();
    assertThat(paper.withGpusPerCpu(4).coresPerProcess()).isEqualTo(7);
    assertThatThrownBy(() -> paper.complexOf(32)).hasMessage("Invalid GPU: 32, the machine has 32");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"gpus-per-cpu\" : 2 | \"gpus-per-cpu\" : 29 | Invalid number of GPUs a CPU: 29 share 28 cores",
        "\"nodes\" : 4 | \"nodes\" : 0 | nodes is 0, expected a whole number from 1 to 2147483647",
        "\"nodes\" : 4, | '' | nodes is missing",
        "2.0E10 | 0 | Invalid speed between GPUs: 0.0, at least 1.0",
        "[ [ 0, 1 ] | [ [ 0, 0 ] | Invalid root complexes: [[0, 0], [2, 3], [4, 5], [6, 7]], expected each GPU of a node from 0 once"
      })
  void brokenMachinesAreRefused(String from, String to, String message) {
    String json = MachineParser.toJson(MachineParser.paper());
    String broken = json.replace(from, to);
    assertThat(broken).isNotEqualTo(json);
    assertThatThrownBy(() -> MachineParser.fromJson(broken, "m.json"))
        .isInstanceOf(PipelineFormatException.class)
        .hasMessage("Cannot read m.json: " + message);
  }
}
