package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.report.BrowserCheck;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.Predictors;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.WeightTensor;
import io.expertatlas.predictor.json.PredictorFiles;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.json.MachineParser;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class SimulateCommandTest {
  private static final String SMALL = "--layers 8 --stages 4 --gpus 2 --batch-size 8 ";

  @TempDir private Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String arguments) {
    CommandLine line = new CommandLine(new Main());
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    return Terminal.execute(
        line,
        Stream.concat(Stream.of("simulate"), Arrays.stream(arguments.trim().split(" +")))
            .toArray(String[]::new));
  }

  private JsonNode json(String arguments) throws IOException {
    assertThat(run(arguments + " --json")).as(err.toString()).isZero();
    return new ObjectMapper().readTree(out.toString());
  }

  private static String trace() {
    return "--trace %s --experts 8 ".formatted(Goldens.data().resolve("traces/mixtral-top2.npy"));
  }

  @Test
  void allPipelinesAreComparedOnDrawnRouting() throws IOException {
    JsonNode root = json(SMALL + "--experts 16 --skew 0.3 --predictor 0.8");
    assertThat(root.get("format-version").asInt()).isEqualTo(1);
    assertThat(root.get("routing").asText()).isEqualTo("drawn, skew 0.3, persistence 1.0");
    assertThat(root.get("cores-per-process").asInt()).isEqualTo(14);
    assertThat(root.get("pipelines"))
        .extracting(one -> one.get("pipeline").asText())
        .containsExactly("gpipe", "gpipe-offload", "mobius", "aptmoe");
    JsonNode aptmoe = root.get("pipelines").get(3);
    assertThat(aptmoe.get("policy").asText()).isEqualTo("equation-1");
    assertThat(aptmoe.get("first-layers").toString()).isEqualTo("[0,2,4,6]");
    assertThat(aptmoe.get("steps")).hasSize(3);
    assertThat(aptmoe.get("steps").get(0).get("concentration").asDouble()).isBetween(0.27, 0.33);
    assertThat(aptmoe.get("sequences-per-second").asDouble())
        .isEqualTo(8 / aptmoe.get("step-seconds").asDouble());
    JsonNode mobius = root.get("pipelines").get(2);
    // stage by stage: 4 forward; backward all but the two that stay for their turn: 6 of 2 layers
    long bytes = 0;
    for (JsonNode device : mobius.get("steps").get(0).get("devices")) {
      bytes += device.get("loaded-bytes").asLong();
    }

    long layer = 4L * (4 * 1024 * 1024 + 4 * 1024 + 1025 * 16 + 16 * 8_393_728L);
    assertThat(bytes).isEqualTo(6 * 2 * layer);
    assertThat(mobius.get("hit-rate").asDouble()).isEqualTo(1);
    assertThat(err.toString()).contains("mobius", "aptmoe equation-1", "8 layers x 16 experts");
  }

  @Test
  void policiesAreComparedSideBySide() throws IOException {
    JsonNode root =
        json(SMALL + "--pipeline aptmoe --policy equation-1,min-max,artifact,random-half");
    assertThat(root.get("pipelines"))
        .extracting(one -> one.get("policy").asText())
        .containsExactly("equation-1", "min-max", "artifact", "random-half");
  }

  @Test
  void aTraceIsReplayedWithItsOwnShape() throws IOException {
    JsonNode root =
        json(trace() + "--stages 4 --gpus 2 --batch-size 8 --predictor oracle --pipeline aptmoe");
    assertThat(root.get("layers").asInt()).isEqualTo(12);
    assertThat(root.get("top-k").asInt()).isEqualTo(2);
    JsonNode device = root.get("pipelines").get(0).get("steps").get(2).get("devices").get(0);
    assertThat(device.get("gpu-tokens").asLong() + device.get("cpu-tokens").asLong())
        .isEqualTo(8L * 128 * 2 * 6);
  }

  @Test
  void aPredictorForetellsATrace() throws IOException {
    PredictedModel model = new PredictedModel("", new ModelShape(12, 8, 2), 0);
    float[] flat = new float[12 * 8];
    Arrays.fill(flat, 1 / 8f);
    Path predictor = Files.createDirectory(folder.resolve("previous-token"));
    PredictorFiles.write(
        new SavedPredictor(
            Predictors.of(
                PredictorKind.PREVIOUS_TOKEN,
                model,
                1,
                Map.of("popularity", new WeightTensor(List.of(12, 8), flat)),
                predictor),
            new SequenceSplit(1, new int[0], new int[0]),
            new SavedPredictor.Training("", "", 0, 0, 0, 0, List.of())),
        predictor);
    String arguments = trace() + "--stages 4 --gpus 2 --batch-size 32 --pipeline aptmoe";
    double without = json(arguments).get("pipelines").get(0).get("step-seconds").asDouble();
    out.getBuffer().setLength(0);
    JsonNode with = json(arguments + " --predictor " + predictor);
    assertThat(with.get("predictor").asText()).isEqualTo(predictor.toString());
    assertThat(with.get("pipelines").get(0).get("step-seconds").asDouble()).isNotEqualTo(without);
    assertThat(run(SMALL + "--predictor " + predictor)).isEqualTo(2);
    assertThat(err.toString()).contains("needs a --trace to foretell");
  }

  @Test
  void moreCoresAreNotSlower() throws IOException {
    double[] seconds = new double[3];
    for (int i = 0; i < 3; i++) {
      out.getBuffer().setLength(0);
      seconds[i] =
          json("--pipeline aptmoe --experts 16 --topology " + "C1+G4 C1+G2 C1+G1".split(" ")[i])
              .get("pipelines")
              .get(0)
              .get("step-seconds")
              .asDouble();
    }

    assertThat(seconds[0]).isGreaterThan(seconds[1]);
    assertThat(seconds[1]).isGreaterThan(seconds[2]);
  }

  @Test
  void stagesOfTheProgramAreNotSlowerForMobius() throws IOException {
    String arguments = "--pipeline mobius --layers 10 --stages 4 --gpus 2 --steps 1 ";
    double equal = json(arguments).get("pipelines").get(0).get("step-seconds").asDouble();
    out.getBuffer().setLength(0);
    JsonNode solved = json(arguments + "--stage-plan program");
    assertThat(err.toString()).contains("stages of mobius: makespan of whole stages");
    assertThat(solved.get("pipelines").get(0).get("first-layers")).hasSize(4);
    assertThat(solved.get("pipelines").get(0).get("step-seconds").asDouble())
        .isLessThanOrEqualTo(equal * 1.1);
  }

  @Test
  void whatDoesNotFitIsToldBesideWhatDoes() throws IOException {
    JsonNode root = json("--preset M --layers 16 --budget 10GB");
    assertThat(root.get("pipelines").get(0).get("refused").asText())
        .startsWith("Cannot run gpipe in 10.00 GB a GPU: device ");
    assertThat(root.get("pipelines").get(2).has("step-seconds")).isTrue();
    assertThat(run("--preset L --pipeline mobius --budget 1GB")).isEqualTo(1);
    assertThat(err.toString()).contains("Cannot run mobius in 1.00 GB a GPU: device 0 needs");
    assertThat(run("--preset L --pipeline mobius --stage-plan program --budget 1GB")).isEqualTo(1);
    assertThat(err.toString())
        .contains("Cannot find 8 stages within 1.00 GB a GPU: there are none. Maybe use more");
  }

  @Test
  void timelineAndPageAreWritten() throws IOException {
    Path timeline = folder.resolve("timeline.json");
    Path page = folder.resolve("page.html");
    assertThat(run(SMALL + "--pipeline aptmoe --timeline %s --report %s".formatted(timeline, page)))
        .as(err.toString())
        .isZero();
    JsonNode events = new ObjectMapper().readTree(Files.readString(timeline)).get("traceEvents");
    assertThat(events)
        .extracting(event -> event.get("name").asText())
        .contains("process_name", "forward attention layer 0 chunk 0", "load layer 0 gate");
    assertThat(Files.readString(page)).contains("Timeline of aptmoe equation-1");
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).containsExactlyInAnyOrder(timeline, page);
    }

    BrowserCheck.ofThisMachine().open(page).hasPlots("steps", "busy", "timeline-0");
  }

  @Test
  void pageAndCommandSayTheSameOfMemory() throws IOException {
    Path page = folder.resolve("page.html");
    String arguments = // of needs that round down
        "--layers 8 --stages 4 --gpus 2 --batch-size 9 --experts 16 --budget 6GB --report ";
    assertThat(run(arguments + page)).as(err.toString()).isZero();
    Matcher refused =
        Pattern.compile("Cannot run gpipe .* needs (\\S+) GB").matcher(err.toString());
    Matcher mobius = Pattern.compile("mobius .* (\\S+) GB").matcher(err.toString());
    assertThat(refused.find() && mobius.find()).as(err.toString()).isTrue();
    assertThat(Files.readString(page))
        .contains("gpipe, which does not fit", ">%s<".formatted(refused.group(1)))
        .contains(">%s<".formatted(mobius.group(1)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--pipeline mobile | Invalid pipeline: mobile, one of gpipe, gpipe-offload, mobius, aptmoe",
        "--policy best | Invalid policy: best, one of equation-1, min-max, critical-path, artifact, random-half",
        "--predictor best | Invalid --predictor: best, expected none, last-step, oracle, a share from 0 to 1, or the folder of a predictor",
        "--predictor 1.5 | Invalid --predictor: 1.5, expected none",
        "--steps 0 | Invalid --steps or --warmup-steps: 0, 1, at least 1 and 0",
        "--stage-plan best | Invalid --stage-plan: best, equal or program",
        "--mapping best | Invalid --mapping: best, cross or plain",
        "--timeline t.json | Invalid --timeline: it shows one pipeline, name it with --pipeline",
        "--trace t --skew 0.3 | Invalid options: --skew and --persistence are for drawn routing",
        "--trace t --predictor 0.5 | Invalid --predictor: 0.5, a share is for drawn routing",
        "--sweep --predictor last-step | Invalid --predictor: last-step, --sweep takes none, oracle or",
        "--trace t --sweep | Invalid options: --sweep draws its routing, --trace has its own"
      })
  void optionsThatMakeNoSenseAreUsageErrors(String arguments, String message) {
    assertThat(run(arguments)).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: ").contains(message);
    assertThat(out.toString()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--preset XL | Invalid preset: XL, one of S, M, L",
        "--skew 0.01 | Invalid skew: 0.01, the sum of squared shares of 8 experts is from 0.1250",
        "--topology G2 | Invalid topology: G2, expected C1+Gn, as in C1+G2",
        "--gpus 64 | Invalid number of GPUs: 64, the machine has 32",
        "--stages 7 | Invalid number of stages: 7, a multiple of the 4 devices",
        "--layers 3 | Invalid number of stages: 4, from 1 to the 3 layers",
        "--chunks 7 | Invalid number of micro-batches: 7, a divisor of the 16384 tokens of a step",
        "--top-k 9 | Invalid top-k: 9, 1 to the 8 experts",
        "--machine nowhere.json | Cannot use file nowhere.json: no such file or folder",
        "--trace nowhere.npy --experts 8 | nowhere.npy"
      })
  void inputsThatMakeNoSenseFailInOneLine(String arguments, String message) {
    assertThat(run(arguments)).isEqualTo(1);
    assertThat(err.toString()).startsWith("atlas: ").contains(message);
    assertThat(err.toString().lines()).hasSize(1);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void aTraceThatIsTooShortForAStepIsRefused() {
    assertThat(run(trace() + "--tokens 0:100 --stages 4")).isEqualTo(1);
    assertThat(err.toString())
        .contains("its selected tokens do not fill a step of 4 x 4096 tokens. Maybe use a smaller");
    assertThat(run(trace() + "--layers 32")).isEqualTo(1);
    assertThat(err.toString()).contains("Invalid --layers: 32, the trace has 12");
  }

  @Test
  void anotherMachineIsReadFromItsFile() throws IOException {
    Path machine = folder.resolve("machine.json");
    Files.writeString(
        machine,
        MachineParser.toJson(MachineParser.paper())
            .replace("\"cpu-cores\" : 28", "\"cpu-cores\" : 56"));
    assertThat(
            json(SMALL + "--pipeline mobius --machine " + machine).get("cores-per-process").asInt())
        .isEqualTo(28);
  }
}
