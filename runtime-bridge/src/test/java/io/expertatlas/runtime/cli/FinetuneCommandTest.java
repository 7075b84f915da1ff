package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.checkpoint.TensorFile;
import io.expertatlas.runtime.cpu.HostFloats;
import io.expertatlas.runtime.json.RecordedCountsParser;
import io.expertatlas.runtime.model.Models;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.train.InitialWeights;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class FinetuneCommandTest {
  private static final int LAYERS = 4;

  @TempDir private static Path models;
  private static String model;

  @TempDir private Path folder;
  private Path text;
  private StringWriter out = new StringWriter();
  private StringWriter err = new StringWriter();

  /** A tiny Mixtral with the tokenizer of the one in {@code data/}. */
  @BeforeAll
  static void writeModel() throws IOException {
    Path mixtral = Goldens.data().resolve("mixtral");
    ObjectNode about =
        (ObjectNode) new ObjectMapper().readTree(mixtral.resolve("config.json").toFile());
    about.put("num_hidden_layers", LAYERS).put("hidden_size", 16).put("intermediate_size", 8);
    about.put("num_attention_heads", 2).put("num_key_value_heads", 1).put("head_dim", 8);
    Files.writeString(models.resolve("config.json"), about.toString());
    Files.copy(mixtral.resolve("tokenizer.json"), models.resolve("tokenizer.json"));
    List<TensorFile.Entry> tensors = new ArrayList<>();
    MixtralConfig config =
        new MixtralConfig(LAYERS, 8, 2, 16, 8, 2, 1, 8, 4096, 1024, 1e-5, 1e4, 0, 2);
    Models.shapes(config)
        .forEach(
            (name, shape) -> {
              long[] axes = shape.stream().mapToLong(Long::longValue).toArray();
              tensors.add(
                  new TensorFile.Entry(
                      name,
                      shape,
                      FloatBuffer.wrap(HostFloats.read(new InitialWeights(1).tensor(name, axes)))));
            });
    try (OutputStream out = Files.newOutputStream(models.resolve("model.safetensors"))) {
      TensorFile.write(tensors, out);
    }

    model = models.toString();
  }

  @BeforeEach
  void writeText() throws IOException {
    text = folder.resolve("text.txt");
    Files.writeString(text, "The quick brown fox jumps over the lazy dog, again. ".repeat(40));
  }

  private int execute(String... arguments) {
    out = new StringWriter();
    err = new StringWriter();
    CommandLine line = new CommandLine(new Main());
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    return Terminal.execute(line, arguments);
  }

  private String[] small(String... more) {
    return Stream.concat(
            Stream.of(
                "finetune",
                "--model",
                model,
                "--text",
                text.toString(),
                "--steps",
                "3",
                "--batch",
                "2",
                "--sequence-length",
                "16",
                "--held-out",
                "0.2",
                "--learning-rate",
                "1e-2"),
            Arrays.stream(more))
        .toArray(String[]::new);
  }

  private JsonNode json(String... more) throws IOException {
    String[] arguments =
        Stream.concat(Arrays.stream(small(more)), Stream.of("--json")).toArray(String[]::new);
    assertThat(execute(arguments)).as(err.toString()).isZero();
    return new ObjectMapper().readTree(out.toString());
  }

  @Test
  void aTrainedModelRunsAndHasLearnt() throws IOException {
    Path output = folder.resolve("out");
    JsonNode result = json("--output", output.toString());
    assertThat(result.get("format-version").asInt()).isEqualTo(1);
    assertThat(result.get("losses")).hasSize(3);
    assertThat(result.get("held-out-loss-after").asDouble())
        .isLessThan(result.get("held-out-loss-before").asDouble() - 0.1);
    assertThat(result.get("training").get("steps").asText()).isEqualTo("3");
    assertThat(result.get("parameters").asLong())
        .isEqualTo(2 * 4096 * 16 + 16 + LAYERS * (2 * 16 + 2 * 256 + 2 * 128 + 8 * 16 + 8 * 384));
    assertThat(output.resolve("report.html"))
        .content()
        .contains("Held-out loss before")
        .contains("\"name\":\"Held out\"");
    assertThat(
            execute(
                "run",
                "--model",
                output.toString(),
                "--prompt",
                "The quick brown",
                "--max-new-tokens",
                "4"))
        .as(err.toString())
        .isZero();
    assertThat(out.toString()).isNotBlank();
  }

  @Test
  void pipelinesAndResumedRunsGiveTheSameLosses() throws IOException {
    JsonNode plain = json("--output", folder.resolve("a").toString(), "--micro-batches", "2");
    Path piped = folder.resolve("b");
    JsonNode pipeline =
        json(
            "--output",
            piped.toString(),
            "--micro-batches",
            "2",
            "--pipeline",
            "aptmoe",
            "--devices",
            "2",
            "--stages",
            "4",
            "--policy",
            "min-max",
            "--memory",
            "3MB",
            "--timeline",
            folder.resolve("timeline.json").toString());
    assertThat(folder.resolve("timeline.json")).content().contains("backward 3 -1 1");
    assertThat(pipeline.get("losses")).isEqualTo(plain.get("losses"));
    assertThat(pipeline.get("held-out-loss-after")).isEqualTo(plain.get("held-out-loss-after"));
    assertThat(pipeline.get("execution").get("policy").asText()).isEqualTo("min-max");
    assertThat(pipeline.get("peak-bytes").asLong()).isBetween(1L, 3_000_000L);
    JsonNode resumed = json("--output", piped.toString(), "--micro-batches", "2", "--resume");
    assertThat(resumed.get("resumed-from").asInt()).isEqualTo(3);
    assertThat(resumed.get("losses")).isEqualTo(plain.get("losses"));
    assertThat(piped.resolve("model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("a/model.safetensors"));
  }

  @Test
  void batchesAreWrittenAsAnArrayThatPromptsAreReadFrom() throws IOException {
    Path file = folder.resolve("batches.npy");
    json("--output", folder.resolve("out").toString(), "--write-batches", file.toString());
    List<int[]> rows = TokenArray.read(file);
    assertThat(rows).hasSize(6).allMatch(row -> row.length == 16);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--steps 0 | Invalid --steps: 0, at least 1",
        "--batch 3 --micro-batches 2 | Invalid --micro-batches: 2, a divisor of --batch 3",
        "--warmup 9 | Invalid --warmup: 9, at most --steps 3",
        "--learning-rate -1 | Invalid --learning-rate: -1.0, above 0",
        "--held-out 1 | Invalid --held-out: 1.0, between 0 and 1",
        "--clip-norm -1 | Invalid --clip-norm: -1.0, at least 0",
        "--checkpoint-every -1 | Invalid --checkpoint-every: -1, at least 0",
        "--timeline f | Invalid options: --timeline is of a --pipeline",
        "--record-counts f | Invalid options: --record-counts is of a --pipeline",
        "--devices 2 | Invalid options: --devices, --stages, --memory and --costs are of a"
            + " --pipeline",
        "--pipeline other | Invalid pipeline: other, one of gpipe, gpipe-offload, mobius, aptmoe",
        "--pipeline mobius --stages 5 | Invalid number of stages: 5, a divisor of the 4 layers",
        "--pipeline gpipe --devices 0 | Invalid pipeline: --devices 0 and --cpu-threads 1 at least"
            + " 1, --stages 0 at least 0"
      })
  void invalidOptionsAreUsageErrors(String options, String message) {
    String[] arguments = small("--output", folder.resolve("out").toString());
    assertThat(execute(merged(arguments, options.split(" ")))).as(err.toString()).isEqualTo(2);
    assertThat(err.toString()).contains("atlas: " + message);
    assertThat(folder.resolve("out")).doesNotExist();
  }

  /** Options with those of the same name replaced. */
  private static String[] merged(String[] arguments, String[] more) {
    List<String> all = new ArrayList<>(List.of(arguments));
    for (int i = 0; i < more.length; i += 2) {
      int at = all.indexOf(more[i]);
      if (at >= 0) {
        all.set(at + 1, more[i + 1]);
      } else {
        all.add(more[i]);
        all.add(more[i + 1]);
      }
    }

    return all.toArray(String[]::new);
  }

  @Test
  void whatCannotBeTrainedIsRefusedInOneLine() {
    String out = folder.resolve("out").toString();
    String nllb = Goldens.data().resolve("nllb-moe").toString();
    assertThat(execute("finetune", "--model", nllb, "--text", text.toString(), "--output", out))
        .isEqualTo(1);
    assertThat(err.toString().lines())
        .containsExactly(
            "atlas: Cannot fine-tune NllbMoeForConditionalGeneration of %s: MixtralForCausalLM is"
                    .formatted(nllb)
                + " built");
    assertThat(execute(merged(small("--output", out), new String[] {"--sequence-length", "2000"})))
        .isEqualTo(1);
    assertThat(err.toString())
        .contains("Invalid --sequence-length: 2000, the model has 1024 positions");
    assertThat(
            execute(
                small(
                    "--output",
                    out,
                    "--pipeline",
                    "mobius",
                    "--devices",
                    "2",
                    "--memory",
                    "100kB")))
        .isEqualTo(1);
    assertThat(err.toString()).contains("Not enough memory: mobius of 4 stages needs ");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  @Test
  void inFloatsTheLossesAreThoseInDoublesWithinRounding() throws IOException {
    JsonNode doubles = json("--output", folder.resolve("doubles").toString());
    JsonNode floats =
        json(
            "--output",
            folder.resolve("floats").toString(),
            "--precision",
            "float32",
            "--pipeline",
            "aptmoe",
            "--recompute");
    for (int step = 0; step < 3; step++) {
      assertThat(floats.get("losses").get(step).asDouble())
          .isCloseTo(doubles.get("losses").get(step).asDouble(), within(1e-4));
    }

    assertThat(floats.get("execution").get("precision").asText()).isEqualTo("float32");
  }

  @Test
  void devicesThatContradictThePrecisionAreRefused() {
    String output = folder.resolve("out").toString();
    assertThat(execute(small("--output", output, "--precision", "tf32"))).isEqualTo(2);
    assertThat(err.toString())
        .contains("Invalid --precision: tf32, on cpu it is float64 or float32");
    assertThat(execute(small("--output", output, "--precision", "float32"))).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid options: --precision float32 takes a --pipeline");
    assertThat(execute(small("--output", output, "--device", "tpu"))).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid --device: tpu, cpu or cuda");
    assertThat(execute(small("--output", output, "--device", "cuda"))).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid options: --device cuda takes a --pipeline");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  @Test
  void aProfileOfTheSameLayerIsWeighedAndThatOfAnotherRefused() throws IOException {
    Path table = folder.resolve("table.json");
    String[] profile = {
      "profile",
      "--model",
      model,
      "--samples",
      "1",
      "--output",
      table.toString(),
      "--batch",
      "2",
      "--micro-batches",
      "1",
      "--sequence-length",
      "16"
    };
    assertThat(execute(profile)).as(err.toString()).isZero();
    String[] more = {"--pipeline", "aptmoe", "--costs", table.toString(), "--output"};
    String[] there = Arrays.copyOf(more, 6);
    there[5] = folder.resolve("there").toString();
    JsonNode measured = json("--pipeline", "aptmoe", "--output", folder.resolve("here").toString());
    assertThat(json(there).get("losses")).isEqualTo(measured.get("losses"));
    Path counts = folder.resolve("counts.json");
    there[5] = folder.resolve("recorded").toString();
    json(merged(there, new String[] {"--record-counts", counts.toString()}));
    RecordedCounts recorded = RecordedCountsParser.read(counts);
    assertThat(recorded.steps()).hasSize(3);
    assertThat(recorded.firstStep()).isEqualTo(1);
    assertThat(recorded.parameters()).isEqualTo(measured.get("parameters").asLong());
    assertThat(
            execute(
                "simulate",
                "--costs",
                table.toString(),
                "--counts",
                counts.toString(),
                "--gpus",
                "2"))
        .as(err.toString())
        .isZero();
    assertThat(err.toString()).contains("4 layers x 8 experts", "2 GPUs of any memory", "aptmoe");
    String[] again = {
      "--pipeline", "mobius", "--resume", "--record-counts", counts + "2", "--output"
    };
    String[] resumed = Arrays.copyOf(again, 7);
    resumed[6] = there[5];
    assertThat(execute(small(resumed))).as(err.toString()).isZero();
    assertThat(err.toString())
        .contains("no step was left to run: %s2 is not written".formatted(counts));
    assertThat(Path.of(counts + "2")).doesNotExist();
    again[4] = folder.resolve("nowhere/counts.json").toString();
    resumed = Arrays.copyOf(again, 7);
    resumed[6] = there[5];
    assertThat(execute(small(resumed))).isEqualTo(1);
    assertThat(err.toString()).contains("nowhere does not exist");
    there[5] = folder.resolve("other").toString();
    String[] longer = merged(small(there), new String[] {"--sequence-length", "8"});
    assertThat(execute(longer)).isEqualTo(1);
    assertThat(err.toString())
        .contains("Invalid --costs: %s is of another layer or batch".formatted(table))
        .contains("[16, 8, 8, 2, 4096, 32, 16], asked for [16, 8, 8, 2, 4096, 16, 8]");
    assertThat(folder.resolve("other")).doesNotExist();
  }
}
