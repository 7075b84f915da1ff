package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

/** From a profile and recorded counts to a forecast of the same steps. */
class ForecastCommandsTest {
  private static final String COUNTS = "counts.json";
  private static final String STEP =
      "--precision float32 --batch 2 --micro-batches 2 --sequence-length 4 ";

  @TempDir private static Path folder;
  private static JsonNode benchmark;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line = new CommandLine(new Main());
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    return Terminal.execute(line, arguments.trim().split(" +"));
  }

  private JsonNode json(String arguments) throws IOException {
    assertThat(run(arguments + " --json")).as(err.toString()).isZero();
    return new ObjectMapper().readTree(out.toString());
  }

  private static Path file(String name) {
    return folder.resolve(name);
  }

  @BeforeAll
  static void profileAndRecord() throws IOException {
    ForecastCommandsTest commands = new ForecastCommandsTest();
    assertThat(
            commands.run(
                "profile --preset S --experts 2 --top-k 1 --vocabulary 8 --samples 1 --output %s %s"
                    .formatted(file("table.json"), STEP)))
        .as(commands.err.toString())
        .isZero();
    benchmark = commands.benchmark("aptmoe", 2, COUNTS, "");
  }

  /** Runs a benchmark that records its counts: what it measured, and forecast. */
  private JsonNode benchmark(String pipeline, int layers, String counts, String more)
      throws IOException {
    JsonNode root =
        json(
            "benchmark-finetune --preset S --experts 2 --top-k 1 --vocabulary 8 --rounds 2 "
                + "%s --layers %d --costs %s --pipelines %s --record-counts %s %s"
                    .formatted(STEP, layers, file("table.json"), pipeline, file(counts), more));
    return root.get("measurements").get(0);
  }

  private static String simulate(String counts) {
    return "simulate --costs %s --counts %s ".formatted(file("table.json"), file(counts));
  }

  private void checkForecast(String arguments, JsonNode measured) throws IOException {
    JsonNode root = json(arguments);
    JsonNode forecast = root.get("pipelines").get(0);
    assertThat(forecast.get("step-seconds").asDouble())
        .isPositive()
        .isEqualTo(measured.get("simulated-step-seconds").asDouble());
    assertThat(forecast.get("steps")).hasSize(2);
    assertThat(forecast.get("steps").get(0).get("optimizer-seconds").asDouble())
        .isCloseTo(measured.get("simulated-optimizer-seconds").asDouble(), within(1e-9));
    assertThat(root.get("gpus").asInt()).isEqualTo(1);
    assertThat(root.has("budget-bytes")).isFalse();
  }

  @Test
  void theSimulatorForecastsRecordedStepsAsTheirBenchmarkDoes() throws IOException {
    checkForecast(simulate(COUNTS) + "--pipeline aptmoe", benchmark);
  }

  @Test
  void optionsOfTheTrainingAreThoseOfItsForecast() throws IOException {
    String more = "--recompute --overlap-optimizer";
    JsonNode measured = benchmark("mobius", 1, "mobius.json", more);
    checkForecast(simulate("mobius.json") + "--pipeline mobius " + more, measured);
  }

  @Test
  void recordedStepsAreReplayedOnAnotherMachine() throws IOException {
    JsonNode root = json("simulate --counts %s --gpus 2 --stages 2".formatted(file(COUNTS)));
    assertThat(root.get("experts").asInt()).isEqualTo(2);
    assertThat(root.get("chunks").asInt()).isEqualTo(2);
    assertThat(root.get("batch-size").asInt()).isEqualTo(2);
    JsonNode aptmoe = root.get("pipelines").get(3);
    long tokens = 0;
    for (JsonNode device : aptmoe.get("steps").get(0).get("devices")) {
      tokens += device.get("gpu-tokens").asLong() + device.get("cpu-tokens").asLong();
    }

    assertThat(tokens).isEqualTo(2 * 2 * 4); // layers, sequences, tokens of each
  }

  @Test
  void pipelinesOfAForecastAreComparedAndShown() throws IOException {
    Path page = file("page.html");
    JsonNode root = json(simulate(COUNTS) + "--gpus 2 --budget 3GB --report " + page);
    assertThat(root.get("pipelines"))
        .extracting(one -> one.get("pipeline").asText())
        .containsExactly("gpipe", "gpipe-offload", "mobius", "aptmoe");
    assertThat(root.get("pipelines").get(0).get("needed-bytes").get("optimizer").asLong()).isZero();
    assertThat(page).content().contains("Timeline of aptmoe equation-1", "3.0 GB");
    assertThat(run(simulate(COUNTS) + "--budget 100MB")).isEqualTo(1);
    assertThat(err.toString()).contains("Cannot run gpipe in 0.10 GB a GPU: device 0 needs ");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "simulate --costs t | --costs forecasts steps whose --counts were recorded",
        "simulate --recompute | --recompute and --overlap-optimizer are of a forecast by --costs",
        "simulate --costs t --counts c --machine m | on a profiled machine, --machine is not of it",
        "simulate --costs t --counts c --predictor oracle | --predictor is not of it",
        "simulate --counts c --trace t | --counts has its own routing, without --trace, --skew and",
        "simulate --counts c --skew 0.3 | --counts has its own routing",
        "simulate --counts c --predictor 0.5 | Invalid --predictor: 0.5, a share is for drawn",
        "simulate --counts c --sweep | --sweep draws its routing, --counts has its own",
        "benchmark-finetune --record-counts c | Invalid --record-counts: it is of one pipeline"
      })
  void optionsThatMakeNoSenseAreUsageErrors(String arguments, String message) {
    assertThat(run(arguments)).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid ").contains(message);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void whatDoesNotBelongTogetherIsRefusedInOneLine() throws IOException {
    Path counts = file(COUNTS);
    for (String option : new String[] {"layers", "chunks", "batch-size", "sequence-length"}) {
      assertThat(run("simulate --counts %s --%s 3".formatted(counts, option))).isEqualTo(1);
      assertThat(err.toString())
          .startsWith("atlas: Invalid --%s: 3, the counts have".formatted(option));
    }

    assertThat(run("simulate --counts %s --experts 3".formatted(counts))).isEqualTo(1);
    assertThat(err.toString()).isEqualTo("atlas: Invalid --experts: 3, the counts have 2\n");
    assertThat(run(simulate(COUNTS) + "--warmup-steps 3")).isEqualTo(1);
    assertThat(err.toString()).contains("the routing has no step after 3 to warm up");
    Path other = file("other.json");
    Files.writeString(
        other, Files.readString(file("table.json")).replace("\"top-k\" : 1", "\"top-k\" : 2"));
    assertThat(run(simulate(COUNTS).replace("table.json", "other.json"))).isEqualTo(1);
    assertThat(err.toString())
        .contains("Invalid --costs: " + other)
        .contains(
            "experts, top-k, tokens of a micro-batch, sequence length [2, 2, 4, 4], the counts")
        .endsWith("have [2, 1, 4, 4]\n");
    Files.writeString(
        other, Files.readString(file("table.json")).replaceFirst(",\\s*\"device\" : \"cpu\"", ""));
    assertThat(run(simulate(COUNTS).replace("table.json", "other.json"))).isEqualTo(1);
    assertThat(err.toString()).contains("does not say its machine's device, cpu or cuda");
    Files.writeString(other, "{}");
    assertThat(run("simulate --counts " + other)).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo("atlas: Cannot read %s: format-version is missing\n".formatted(other));
  }
}
