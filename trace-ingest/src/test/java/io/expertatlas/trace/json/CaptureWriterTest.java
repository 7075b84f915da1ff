package io.expertatlas.trace.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CaptureWriterTest {
  @TempDir private Path folder;

  private static CaptureWriter writer(int layers) {
    return new CaptureWriter(
        "a model", "Mixtral", "decoder", List.of(1, 3).subList(0, layers), 16, "a test");
  }

  private static RoutingTrace trace(int experts, float... weights) {
    return RoutingTrace.of(
        new ModelShape(2, experts, 2),
        new short[] {0, 1, 2, 0, (short) (experts - 1), 1, 1, 0, 1, 2, 0, 2},
        weights,
        new int[] {4, 4, 7},
        new int[] {0, 1, 0},
        new byte[] {0, 1, 0});
  }

  @ParameterizedTest
  @ValueSource(ints = {3, 256, 257, 65536})
  void whatIsWrittenIsRead(int experts) throws IOException {
    RoutingTrace trace = trace(experts, .6f, .4f, .75f, .25f, 1, 0, .5f, .5f, .7f, .3f, .8f, .2f);
    writer(2).write(trace, folder);

    try (TraceReader reader = TraceFormat.openTrace(TraceSource.of(folder), TokenSelection.ALL)) {
      RoutingTrace read = reader.next().orElseThrow();
      assertThat(read.shape()).isEqualTo(trace.shape());
      assertThat(read.tokens()).isEqualTo(3);
      assertThat(read.expert(1, 0, 0)).isEqualTo(experts - 1);
      assertThat(read.weight(2, 1, 1)).isEqualTo(.2f);
      assertThat(read.sequence(2)).isEqualTo(7);
      assertThat(read.position(1)).isEqualTo(1);
      assertThat(read.phase(1)).isEqualTo(Phase.DECODE);
    }
  }

  @Test
  void theDescriptionSaysWhatTheFilesAre() throws IOException, NoSuchAlgorithmException {
    writer(2).write(trace(3), folder);
    JsonNode root = new ObjectMapper().readTree(folder.resolve("capture.json").toFile());

    assertThat(root.get("moe-layers").toString()).isEqualTo("[1,3]");
    assertThat(root.get("sequences").asInt()).isEqualTo(2);
    assertThat(root.get("files").has("weights.npy")).isFalse();
    JsonNode experts = root.get("files").get("experts.npy");
    assertThat(experts.get("dtype").asText()).isEqualTo("uint8");
    assertThat(experts.get("shape").toString()).isEqualTo("[3,2,2]");
    byte[] bytes = Files.readAllBytes(folder.resolve("experts.npy"));
    assertThat(bytes).hasSize(128 + 12);
    assertThat(experts.get("sha256").asText())
        .isEqualTo(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes)));
  }

  @Test
  void anEmptyTraceIsWritten() throws IOException {
    writer(2).write(RoutingTrace.ofExperts(new ModelShape(2, 3, 2), new short[0]), folder);

    try (TraceReader reader = TraceFormat.openTrace(TraceSource.of(folder), TokenSelection.ALL)) {
      assertThat(reader.tokens()).isZero();
    }
  }

  @Test
  void rowsOutOfOrderAndOtherLayersAreRefused() {
    RoutingTrace back =
        RoutingTrace.of(
            new ModelShape(1, 2, 1),
            new short[] {0, 1},
            new float[0],
            new int[] {3, 3},
            new int[] {5, 5},
            new byte[2]);

    assertThatThrownBy(() -> writer(1).write(back, folder))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid order of tokens: sequence 3, position 5 stands before sequence 3, position 5");
    assertThatThrownBy(() -> writer(2).write(back, folder))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid MoE layers: [1, 3], the trace has 1 MoE layers x 2 experts, top-1");
  }
}
