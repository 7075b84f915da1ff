package io.expertatlas.predictor.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.WeightTensor;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsFileTest {
  private static final Path DATA = Path.of(System.getProperty("expertatlas.root"), "data");

  @TempDir private Path folder;

  private Path write(String header, int... bytes) throws IOException {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer all =
        ByteBuffer.allocate(8 + text.length + bytes.length).order(ByteOrder.LITTLE_ENDIAN);
    all.putLong(text.length).put(text);
    for (int value : bytes) {
      all.put((byte) value);
    }

    return Files.write(folder.resolve("t.safetensors"), all.array());
  }

  @Test
  void readsWhatItWrote() throws IOException {
    Map<String, WeightTensor> tensors = new LinkedHashMap<>();
    tensors.put("z", new WeightTensor(List.of(2, 3), new float[] {1, -2, 3e-20f, 4, 5, 6}));
    tensors.put("empty", new WeightTensor(List.of(0, 7), new float[0]));
    tensors.put("a", new WeightTensor(List.of(1), new float[] {7}));
    Path file = folder.resolve("x");
    SafetensorsFile.write(file, tensors);
    SafetensorsFile read = SafetensorsFile.open(file);
    assertThat(read.entries()).hasSize(3);
    assertThat(read.read("z").shape()).containsExactly(2, 3);
    assertThat(read.read("z").values()).containsExactly(1, -2, 3e-20f, 4, 5, 6);
    assertThat(read.read("empty").values()).isEmpty();
    assertThat(read.read("a").values()).containsExactly(7);
    assertThat(read.entries().get("z").offset() % 8).isZero();
  }

  @Test
  void readsHalfFloats() throws IOException {
    Path file =
        write(
            "{\"h\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                + "\"b\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[6,8]}}",
            0x00,
            0x3c,
            0x01,
            0x80,
            0xff,
            0x7b,
            0xc0,
            0x3f);
    SafetensorsFile read = SafetensorsFile.open(file);
    assertThat(read.read("h").values()).containsExactly(1f, -0x1p-24f, 65504f);
    assertThat(read.read("b").values()).containsExactly(1.5f);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "[]|not a JSON object",
        "{\"a\":|Invalid safetensors header",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} x|Invalid safetensors",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}|Invalid data_offsets",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}|Invalid shape",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,4]}}|begins at byte",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}|Truncated",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}|Invalid safetensors file"
      })
  void brokenHeadersAreRefused(String header, String message) throws IOException {
    Path file = write(header, 0, 0, 0, 0);
    assertThatThrownBy(() -> SafetensorsFile.open(file))
        .isInstanceOf(PredictorFormatException.class)
        .hasMessageContaining(message)
        .hasMessageContaining("t.safetensors");
  }

  @ParameterizedTest
  @CsvSource({"F32,[2]", "F32,[4294967296]", "I64,[1]", "'',[1]"})
  void tensorsOfOtherTypesOrSizesAreRefused(String dtype, String shape) throws IOException {
    Path file =
        write(
            "{\"a\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[0,4]}}"
                .formatted(dtype, shape),
            0,
            0,
            0,
            0);
    SafetensorsFile open = SafetensorsFile.open(file);
    assertThatThrownBy(() -> open.read("a"))
        .isInstanceOf(PredictorFormatException.class)
        .hasMessageContaining("tensor a");
    assertThatThrownBy(() -> open.read("b")).hasMessageContaining("Missing tensor b");
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void brokenBytesNeverEscapeAsOtherFailures(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    Path file =
        write("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 1, 2, 3, 4);
    byte[] bytes = Files.readAllBytes(file);
    bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
    Files.write(file, bytes);
    try {
      SafetensorsFile open = SafetensorsFile.open(file);
      for (String name : open.entries().keySet()) {
        assertThat(open.read(name).values()).hasSizeLessThan(3);
      }
    } catch (PredictorFormatException e) {
      assertThat(e).hasMessageContaining("t.safetensors");
    }
  }

  @Test
  void findsTheGatesOfTheProjectsModels() throws IOException {
    PredictedModel mixtral =
        new PredictedModel("expertatlas/mixtral decoder", new ModelShape(12, 8, 2), 192);
    GateWeights gates = GateWeights.read(DATA.resolve("mixtral"), "", mixtral);
    assertThat(gates.weights()).hasDimensions(12, 8 * 192);
    PredictedModel encoder =
        new PredictedModel("expertatlas/nllb-moe encoder", new ModelShape(3, 16, 2), 128);
    GateWeights mine = GateWeights.read(DATA.resolve("nllb-moe"), "", encoder);
    assertThat(mine.weights())
        .isEqualTo(GateWeights.read(DATA.resolve("nllb-moe"), "model.encoder.", encoder).weights());
    PredictedModel nameless = new PredictedModel("", new ModelShape(3, 16, 2), 128);
    assertThatThrownBy(() -> GateWeights.read(DATA.resolve("nllb-moe"), "", nameless))
        .hasMessageContainingAll("[model.decoder., model.encoder.]", "--gate-prefix");
    assertThatThrownBy(() -> GateWeights.read(DATA.resolve("mixtral"), "", encoder))
        .hasMessageContaining("it has 12 below 'model.', the trace has 3 MoE layers");
    assertThatThrownBy(() -> GateWeights.read(DATA.resolve("mixtral"), "x.", mixtral))
        .hasMessageContaining("begins with x.");
    PredictedModel wide = new PredictedModel("", new ModelShape(12, 8, 2), 193);
    assertThatThrownBy(() -> GateWeights.read(DATA.resolve("mixtral"), "", wide))
        .hasMessageContaining(
            "its shape is [8, 192], the trace's experts and hidden size [8, 193]");
  }
}
