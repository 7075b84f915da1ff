package io.expertatlas.predictor.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class CommandsTest {
  private static final Path DATA = Path.of(System.getProperty("expertatlas.root"), "data");
  private static final String ENCODER = DATA.resolve("slices/nllb-encoder").toString();
  private static final String NLLB = DATA.resolve("nllb-moe").toString();

  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line =
        new CommandLine(new Main()).setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Terminal.execute(line, arguments);
  }

  private int train(String output, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train-predictor",
                "--trace",
                ENCODER,
                "--gates",
                NLLB,
                "--rank",
                "8",
                "--threads",
                "2",
                "--output",
                folder.resolve(output).toString()));
    arguments.addAll(List.of(more));
    if (!arguments.contains("--epochs")) {
      arguments.addAll(List.of("--epochs", "3"));
    }

    return run(arguments.toArray(String[]::new));
  }

  private List<String> filesOf(Path where) throws IOException {
    try (Stream<Path> files = Files.list(where)) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void trainsEveryPredictorAndScoresThem() throws IOException {
    assertThat(train("p", "--json", "--expert-bytes", "1000")).as(err.toString()).isZero();
    assertThat(filesOf(folder)).containsExactly("p");
    assertThat(filesOf(folder.resolve("p")))
        .containsExactly(
            "affine-route",
            "affinity",
            "metrics.json",
            "next-gate",
            "popularity",
            "pre-gate",
            "previous-token",
            "report.html",
            "residual");
    assertThat(err.toString())
        .contains("expertatlas/nllb-moe encoder", "residual above pre-gate", "recall at k (95 %)");
    JsonNode metrics = new ObjectMapper().readTree(out.toString());
    assertThat(metrics.get("format-version").asInt()).isEqualTo(1);
    assertThat(metrics.get("predictors")).hasSize(7);
    JsonNode residual = metrics.get("predictors").get(6);
    assertThat(residual.get("name").asText()).isEqualTo("residual");
    assertThat(residual.get("head-outs")).hasSize(2); // of 3 layers
    JsonNode overall = residual.get("head-outs").get(0).get("overall");
    double recall = overall.get("recall-at-k").get("value").asDouble();
    assertThat(recall).isBetween(0.4, 1.0);
    assertThat(overall.get("caches").get(0).get("missed-bytes").asDouble())
        .isEqualTo(2 * (1 - recall) * 1000);

    // the same tokens, scored again
    Path scores = folder.resolve("s");
    assertThat(
            run(
                "score-predictor",
                "--predictor",
                folder.resolve("p/residual").toString(),
                "--trace",
                ENCODER,
                "--held-out",
                "--iteration-tokens",
                "100",
                "--output",
                scores.toString(),
                "--json"))
        .as(err.toString())
        .isZero();
    JsonNode again = new ObjectMapper().readTree(out.toString());
    assertThat(
            again
                .get("predictors")
                .get(0)
                .get("head-outs")
                .get(0)
                .get("overall")
                .get("recall-at-k"))
        .isEqualTo(overall.get("recall-at-k"));
    assertThat(filesOf(scores))
        .containsExactly(
            "metrics.json",
            "popularity-gate.npy",
            "popularity-predictor-1.npy",
            "popularity-predictor-2.npy",
            "popularity.parquet");
    checkNpy(scores.resolve("popularity-gate.npy"), again.get("tokens").asLong(), 3);
    checkNpy(scores.resolve("popularity-predictor-2.npy"), again.get("tokens").asLong(), 1);
  }

  /** Every iteration gives each layer 2 choices a token. */
  private static void checkNpy(Path file, long tokens, int layers) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    String header = new String(bytes.array(), 10, 118, StandardCharsets.US_ASCII);
    long iterations = (tokens + 99) / 100;
    assertThat(header)
        .startsWith(
            "{'descr': '<i8', 'fortran_order': False, 'shape': (%d, %d, 16), }"
                .formatted(iterations, layers))
        .endsWith("\n");
    assertThat(bytes.capacity()).isEqualTo((int) (128 + iterations * layers * 16 * 8));
    long sum = 0;
    for (int i = 128; i < bytes.capacity(); i += 8) {
      sum += bytes.getLong(i);
    }

    assertThat(sum).isEqualTo(tokens * layers * 2);
  }

  @Test
  void predictorsOfOtherModelsAreRefused() {
    assertThat(train("p", "--predictors", "popularity,next-gate")).as(err.toString()).isZero();
    assertThat(
            run(
                "score-predictor",
                "--predictor",
                folder.resolve("p/next-gate").toString(),
                "--trace",
                DATA.resolve("slices/nllb-decoder").toString()))
        .isEqualTo(1);
    assertThat(err.toString())
        .contains(
            "its model is expertatlas/nllb-moe encoder, here it is expertatlas/nllb-moe decoder");
    assertThat(
            run(
                "score-predictor",
                "--predictor",
                folder.resolve("p/popularity").toString(),
                "--trace",
                DATA.resolve("slices/mixtral").toString()))
        .isEqualTo(1);
    assertThat(err.toString()).contains("its MoE layers is 3, here it is 12");
  }

  @Test
  void tablesScoreTracesWithoutStates() {
    assertThat(train("p", "--predictors", "affinity,next-gate")).as(err.toString()).isZero();
    String[] arguments = {
      "score-predictor",
      "--predictor",
      folder.resolve("p/affinity").toString(),
      "--trace",
      DATA.resolve("traces/nllb-encoder-top2.npy").toString(),
      "--experts",
      "16",
      "--sequence-file",
      DATA.resolve("traces/nllb-encoder-sequence.npy").toString(),
      "--tokens",
      ":2000"
    };
    assertThat(run(arguments)).as(err.toString()).isZero();
    assertThat(err.toString()).contains("2,000 tokens of");
    arguments[2] = folder.resolve("p/next-gate").toString();
    assertThat(run(arguments)).isEqualTo(1);
    assertThat(err.toString()).contains("it reads hidden states, and the trace has none");
  }

  @Test
  void gatesOfAnotherStackAreRefused() {
    assertThat(train("p", "--gate-prefix", "model.decoder.")).isEqualTo(1);
    assertThat(err.toString())
        .contains("in layer 0 they miss the trace's router logits by")
        .doesNotContain("at io.expertatlas");
    assertThat(folder.resolve("p")).doesNotExist();
  }

  @Test
  void usageIsExplained() {
    assertThat(train("p", "--epochs", "0")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid epochs: 0, at least 1");
    assertThat(train("p", "--predictors", "oracle")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid predictor: oracle, known are [popularity,");
    assertThat(train("p", "--test-share", "0.9", "--validation-share", "0.2")).isEqualTo(2);
    assertThat(err.toString()).contains("together below 1");
    assertThat(train("p", "--lookahead", "0")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid --lookahead: 0, at least 1");
    assertThat(
            run(
                "train-predictor",
                "--trace",
                ENCODER,
                "--output",
                folder.resolve("p").toString(),
                "--predictors",
                "next-gate"))
        .isEqualTo(2);
    assertThat(err.toString()).contains("Missing --gates");
    assertThat(folder.resolve("p")).doesNotExist();
  }

  @Test
  void selectionsThatKeepTooLittleAreRefused() {
    assertThat(train("p", "--sequences", "0:2")).isEqualTo(1);
    assertThat(err.toString()).contains("Cannot split 2 sequences");
    assertThat(
            run(
                "train-predictor",
                "--trace",
                DATA.resolve("traces/mixtral-top2.npy").toString(),
                "--experts",
                "8",
                "--output",
                folder.resolve("p").toString()))
        .isEqualTo(1);
    assertThat(err.toString()).contains("Cannot");
  }
}
