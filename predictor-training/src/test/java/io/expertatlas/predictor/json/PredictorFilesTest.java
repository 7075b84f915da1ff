package io.expertatlas.predictor.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.predictor.AffineHeads;
import io.expertatlas.predictor.AffinePredictor;
import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.RoutingCounts;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.TablePredictor;
import io.expertatlas.predictor.json.SavedPredictor.Training;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class PredictorFilesTest {
  private static final PredictedModel MODEL =
      new PredictedModel("a model", new ModelShape(4, 3, 2), 5);

  @TempDir private Path folder;

  private static ExpertPredictor predictor(PredictorKind kind) {
    if (!kind.readsHidden()) {
      return TablePredictor.of(kind, MODEL, 2, new RoutingCounts(MODEL.shape(), 2));
    }

    SplittableRandom random = new SplittableRandom(1);
    boolean routes = kind == PredictorKind.AFFINE_ROUTE || kind == PredictorKind.RESIDUAL;
    int rank = kind == PredictorKind.RESIDUAL ? 4 : 0;
    List<AffineHeads> layers = new ArrayList<>();
    for (int layer = 0; layer < 3; layer++) {
      int outputs = 3 * MODEL.heads(layer, 2);
      layers.add(
          new AffineHeads(
              outputs,
              rank,
              draw(random, outputs * 5),
              draw(random, outputs),
              draw(random, routes ? 3 * outputs : 0),
              draw(random, rank * 5),
              draw(random, rank),
              draw(random, 3 * rank),
              draw(random, outputs * rank)));
    }

    return new AffinePredictor(kind, MODEL, 2, layers);
  }

  private static float[] draw(SplittableRandom random, int length) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextDouble(-1, 1);
    }

    return values;
  }

  private static SavedPredictor saved(PredictorKind kind) {
    return new SavedPredictor(
        predictor(kind),
        new SequenceSplit(7, new int[] {4, 1}, new int[] {2, -3}),
        new Training("t", "sequences all", 100, 9, 128, 1e-3, List.of(1, 2, 3)));
  }

  @ParameterizedTest
  @EnumSource(PredictorKind.class)
  void everyKindComesBackAsItWas(PredictorKind kind) throws IOException {
    SavedPredictor saved = saved(kind);
    PredictorFiles.write(saved, folder);
    SavedPredictor read = PredictorFiles.read(folder);
    assertThat(read.predictor().kind()).isEqualTo(kind);
    assertThat(read.predictor().model()).isEqualTo(MODEL);
    assertThat(read.predictor().lookahead()).isEqualTo(2);
    assertThat(read.split()).isEqualTo(saved.split());
    assertThat(read.training()).isEqualTo(saved.training());
    assertThat(read.predictor().tensors().keySet())
        .containsExactlyElementsOf(saved.predictor().tensors().keySet());
    saved
        .predictor()
        .tensors()
        .forEach(
            (name, tensor) -> {
              assertThat(read.predictor().tensors().get(name).shape()).isEqualTo(tensor.shape());
              assertThat(read.predictor().tensors().get(name).values()).isEqualTo(tensor.values());
            });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"layers\" : 4|\"layers\" : 3|its shape is [6, 5], expected [3, 5]",
        "\"layers\" : 4|\"layers\" : 5|layer.2.weight in",
        "\"experts\" : 3|\"experts\" : 2|its shape is [6, 5], expected [4, 5]",
        "\"hidden-size\" : 5|\"hidden-size\" : 6|its shape is [6, 5], expected [6, 6]",
        "\"lookahead\" : 2|\"lookahead\" : 0|lookahead is 0, expected at least 1",
        "\"format-version\" : 1|\"format-version\" : 2|format-version is 2, known is 1",
        "\"kind\" : \"residual\"|\"kind\" : \"oracle\"|Invalid predictor: oracle, known are",
        "\"kind\" : \"residual\"|\"kind\" : 3|kind is 3, expected a text",
        "\"seed\" : 7|\"seed\" : 7.5|seed is 7.5, expected a whole number",
        "\"test\"|\"tset\"|test is missing",
        "\"model\"|\"mode|Invalid JSON in"
      })
  void brokenDescriptionsAreRefused(String was, String is, String message) throws IOException {
    PredictorFiles.write(saved(PredictorKind.RESIDUAL), folder);
    Path file = folder.resolve(PredictorFiles.JSON);
    String text = Files.readString(file);
    assertThat(text).contains(was);
    Files.writeString(file, text.replace(was, is));
    assertThatThrownBy(() -> PredictorFiles.read(folder))
        .isInstanceOf(PredictorFormatException.class)
        .hasMessageContaining(message)
        .hasMessageContaining(folder.toString());
  }

  @Test
  void corruptedAndTruncatedWeightsAreRefusedWithBothValues() throws IOException {
    PredictorFiles.write(saved(PredictorKind.PRE_GATE), folder);
    Path file = folder.resolve(PredictorFiles.WEIGHTS);
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 3] ^= 4;
    Files.write(file, bytes);
    assertThatThrownBy(() -> PredictorFiles.read(folder))
        .hasMessageMatching("Corrupted weights: .* has SHA-256 [0-9a-f]{64}, .* says [0-9a-f]{64}");
    Files.write(file, Arrays.copyOf(bytes, bytes.length - 4));
    assertThatThrownBy(() -> PredictorFiles.read(folder))
        .hasMessageContaining("has %d bytes".formatted(bytes.length - 4))
        .hasMessageContaining("says %d".formatted(bytes.length));
  }

  @ParameterizedTest
  @CsvSource({
    "a model,5,3,2,5,MoE layers is 4, here it is 5",
    "a model,4,4,2,5,experts is 3, here it is 4",
    "a model,4,3,1,5,top-k is 2, here it is 1",
    "a model,4,3,2,6,hidden size is 5, here it is 6",
    "another,4,3,2,5,model is a model, here it is another"
  })
  void aPredictorOfAnotherModelIsRefusedWithBothValues(
      String name, int layers, int experts, int topK, int hidden, String what, String values) {
    PredictedModel other = new PredictedModel(name, new ModelShape(layers, experts, topK), hidden);
    assertThatThrownBy(() -> MODEL.checkFits(other, "file"))
        .hasMessage("Cannot use predictor file: its " + what + ", " + values);
  }

  @Test
  void unknownNamesAndHiddenSizesAreNotCompared() {
    MODEL.checkFits(new PredictedModel("", MODEL.shape(), 0), "file");
    assertThat(MODEL.heads(2, 5)).isEqualTo(1);
  }
}
