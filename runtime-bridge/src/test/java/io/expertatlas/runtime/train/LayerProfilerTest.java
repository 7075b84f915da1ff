package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.json.LookupTableParser;
import io.expertatlas.runtime.json.Presets;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.FloatDevice;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.TableCosts;
import io.expertatlas.runtime.pipeline.TokenCurve;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LayerProfilerTest {
  private static final ProfileSettings SETTINGS =
      new ProfileSettings("tiny", "a machine", 1, 5, 4, 2, 3);

  private static TrainableModel model(String name) {
    return switch (name) {
      case "mixtral" ->
          new MixtralTraining(
              new MixtralConfig(1, 8, 2, 32, 12, 4, 2, 8, 19, 64, 1e-5, 100, -1, 2),
              new InitialWeights(5),
              false,
              ParameterMemory.JVM);
      case "post-norm" ->
          new PostNormModel(
              new PostNormConfig(1, 5, 2, 12, 9, 3, 19, 1e-5, false),
              new InitialWeights(5),
              ParameterMemory.JVM);
      default ->
          new PostNormModel(
              new PostNormConfig(1, 1, 1, 4, 3, 1, 19, 1e-5, true),
              new InitialWeights(5),
              ParameterMemory.JVM);
    };
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, double",
    "post-norm, double",
    "post-norm, mixed",
    "mixtral, float",
    "one, float"
  })
  void everyPieceHasItsSamplesAndWeightsStay(String name, String numbers)
      throws InterruptedException {
    Backend backend =
        switch (numbers) {
          case "double" -> Backend.doubles(1, true);
          case "float" -> new Backend(List.of(FloatDevice.INSTANCE), FloatDevice.INSTANCE, true);
          default -> new Backend(List.of(DoubleDevice.INSTANCE), FloatDevice.INSTANCE, true);
        };
    TrainableModel model = model(name);
    List<FloatBuffer> before = model.parameters().stream().map(LayerProfilerTest::copy).toList();
    List<String> told = new ArrayList<>();
    LookupTable table = LayerProfiler.profile(model, backend, SETTINGS, told::add);
    assertThat(told).hasSize(LayerProfiler.MEASUREMENTS);
    for (Curve what : Curve.values()) {
      TokenCurve curve = table.measured(what).orElseThrow();
      assertThat(curve.tokens(curve.points() - 1)).as(what.name()).isEqualTo(20);
      for (int point = 0; point < curve.points(); point++) {
        assertThat(curve.samples(point)).hasSize(3);
      }
    }

    assertThat(table.measured(Curve.CPU_FORWARD).orElseThrow().points()).isEqualTo(6);
    assertThat(table.measured(Curve.ATTENTION_FORWARD).orElseThrow().points()).isEqualTo(3);
    for (Piece piece : Piece.values()) {
      assertThat(table.training().samples(piece)).as(piece.name()).hasSize(3);
    }

    assertThat(table.shape().dim()).isEqualTo(model.hidden());
    assertThat(table.shape().expertParameters())
        .isEqualTo(
            model.layers().get(0).experts().get(0).parameters().stream()
                .mapToLong(Parameter::elements)
                .sum());
    // a small layer does not stay in a cache: the optimizer passes over 64 of them
    assertThat(table.training().sizes().optimizerParameters()).isEqualTo(64 * model.size());
    assertThat(table.training().sizes().peakBytes()).isPositive();
    for (int i = 0; i < before.size(); i++) {
      assertThat(model.parameters().get(i).value()).isEqualTo(before.get(i));
    }

    String json = LookupTableParser.toJson(table);
    assertThat(LookupTableParser.toJson(LookupTableParser.fromJson(json, "t.json")))
        .isEqualTo(json);
  }

  private static FloatBuffer copy(Parameter parameter) {
    return FloatBuffer.allocate(parameter.elements())
        .put(0, parameter.value(), 0, parameter.elements());
  }

  @Test
  void costsAreSumsOfMedians() throws InterruptedException {
    LookupTable table =
        LayerProfiler.profile(model("post-norm"), Backend.doubles(1, true), SETTINGS, what -> {});
    double forward = nanos(table, Curve.CPU_FORWARD);
    double backward = nanos(table, Curve.CPU_BACKWARD);
    double copies = nanos(table, Curve.COPY_ACTIVATION) + nanos(table, Curve.RETURN_ACTIVATION);
    ExpertCosts keeps = new TableCosts(table, false);
    ExpertCosts again = new TableCosts(table, true);
    assertThat(keeps.cpuNanos(4, false)).isEqualTo(forward + copies);
    assertThat(again.cpuNanos(4, false)).isEqualTo(forward + copies);
    assertThat(keeps.cpuNanos(4, true)).isEqualTo(backward + copies);
    assertThat(again.cpuNanos(4, true)).as("nothing again").isEqualTo(backward + copies);
    int many = TrainingProfile.KEPT_ROWS + 1;
    assertThat(again.cpuNanos(many, true) - again.cpuNanos(many - 1, true))
        .as("gradients are written out")
        .isGreaterThan(table.training().nanos(Piece.CLEAR_CPU_EXPERT));
    assertThat(again.gpuNanos(4, true))
        .isEqualTo(nanos(table, Curve.GPU_BACKWARD) + nanos(table, Curve.GPU_AGAIN));
    assertThat(again.loadExpertNanos()).isEqualTo(table.loadExpertNanos());
    assertThat(again.loadBaseNanos())
        .isEqualTo(table.loadAttentionNanos() + table.loadGateNanos(5));
  }

  private static double nanos(LookupTable table, Curve curve) {
    return table.monotone(curve).orElseThrow().nanos(4);
  }

  @Test
  void aTableWithoutTrainingHasNoCosts() {
    LookupTable preset = Presets.find("S").table();
    assertThatThrownBy(() -> new TableCosts(preset, true))
        .hasMessage(
            "Lookup table %s is no profile of training (format-version 2). Maybe make one with 'atlas profile'"
                .formatted(preset.name()));
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "2, '1 2'", "3, '1 2 3'", "8, '1 2 4 8'", "9, '1 2 4 8 9'"})
  void countsDoubleUpToTheLast(int last, String counts) {
    assertThat(Arrays.stream(LayerProfiler.grid(last)).mapToObj(Integer::toString))
        .containsExactly(counts.split(" "));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4})
  void impossibleNumbersAreRefused(int wrong) {
    int[] numbers = {1, 1, 2, 1, 1};
    numbers[wrong]--;
    assertThatThrownBy(
            () ->
                new ProfileSettings(
                    "t", "m", numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]))
        .hasMessageStartingWith("Invalid profile: ")
        .hasMessageEndingWith("at least 1 each, 2 tokens");
  }
}
