package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.TrafficReplay;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.Predictors;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.WeightTensor;
import io.expertatlas.predictor.json.PredictorFiles;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.json.CaptureWriter;
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
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class RunCommandTest {
  private static final String MIXTRAL = Goldens.data().resolve("mixtral").toString();
  private static final String NLLB = Goldens.data().resolve("nllb-moe").toString();
  private static final Goldens GOLDENS = Goldens.read("mixtral");

  @TempDir private Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    CommandLine line = new CommandLine(new Main());
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    return Terminal.execute(
        line, Stream.concat(Stream.of("run"), Arrays.stream(arguments)).toArray(String[]::new));
  }

  private JsonNode json(String... arguments) throws IOException {
    int code =
        run(Stream.concat(Arrays.stream(arguments), Stream.of("--json")).toArray(String[]::new));
    assertThat(code).as(err.toString()).isZero();
    return new ObjectMapper().readTree(out.toString());
  }

  private Path tokens(List<int[]> prompts) throws IOException {
    int width = prompts.stream().mapToInt(ids -> ids.length).max().orElseThrow();
    String header =
        "{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d), }"
            .formatted(prompts.size(), width);
    header = header + " ".repeat(117 - header.length()) + "\n";
    ByteBuffer bytes =
        ByteBuffer.allocate(10 + header.length() + 4 * width * prompts.size())
            .order(ByteOrder.LITTLE_ENDIAN);
    bytes.put((byte) 0x93).put("NUMPY".getBytes(StandardCharsets.US_ASCII));
    bytes.put((byte) 1).put((byte) 0).putShort((short) header.length());
    bytes.put(header.getBytes(StandardCharsets.US_ASCII));
    for (int[] ids : prompts) {
      for (int i = 0; i < width; i++) {
        bytes.putInt(i < ids.length ? ids[i] : -1);
      }
    }

    Path file = folder.resolve("tokens.npy");
    Files.write(file, bytes.array());
    return file;
  }

  private static int[] ints(JsonNode list) {
    int[] values = new int[list.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = list.get(i).asInt();
    }

    return values;
  }

  @Test
  void textsBecomeTheGoldenTokensAndText() throws IOException {
    JsonNode golden =
        new ObjectMapper()
            .readTree(Goldens.data().resolve("golden/mixtral.json").toFile())
            .get("prompts");
    Path prompts = folder.resolve("prompts.jsonl");
    Files.writeString(
        prompts,
        new ObjectMapper().writeValueAsString(golden.get(1).get("text"))
            + "\n\n{\"prompt\": "
            + new ObjectMapper().writeValueAsString(golden.get(2).get("text"))
            + "}\n");
    JsonNode result =
        json(
            "--model",
            MIXTRAL,
            "--prompt",
            golden.get(0).get("text").asText(),
            "--prompts",
            prompts.toString(),
            "--ignore-eos",
            "--threads",
            "1");

    for (int s = 0; s < 3; s++) {
      int[] all = ints(result.get("tokens").get(s));
      int[] prompt = GOLDENS.prompts().get(s);
      assertThat(Arrays.copyOf(all, prompt.length)).isEqualTo(prompt);
      assertThat(Arrays.copyOfRange(all, prompt.length, all.length))
          .isEqualTo(GOLDENS.greedy().get(s));
      assertThat(result.get("texts").get(s).asText())
          .isEqualTo(golden.get(s).get("greedy-text").asText());
    }

    assertThat(result.get("precision").asText()).isEqualTo("float32");
    assertThat(result.get("prefillTokensPerSecond").asDouble()).isPositive();
    assertThat(result.get("decodeTokensPerSecond").asDouble()).isPositive();
  }

  @Test
  void bf16WeightsOnTheCpuRunOrAreRefusedWithTheReason() throws IOException {
    int code =
        run(
            "--model",
            MIXTRAL,
            "--prompt",
            "def mean(values):",
            "--precision",
            "bfloat16",
            "--max-new-tokens",
            "4",
            "--ignore-eos",
            "--json");

    if (!CpuDevice.whyNoBfloat16().isEmpty()) {
      assertThat(code).isEqualTo(1);
      assertThat(err.toString())
          .contains("Cannot use --precision bfloat16 on the CPU: " + CpuDevice.whyNoBfloat16());
      return;
    }

    assertThat(code).as(err.toString()).isZero();
    JsonNode result = new ObjectMapper().readTree(out.toString());
    assertThat(result.get("precision").asText()).isEqualTo("bfloat16");
    assertThat(result.get("vector-bytes").asInt()).as("activations are F32").isEqualTo(4 * 192);
    assertThat(result.get("newTokens").get(0)).hasSize(4);
  }

  @Test
  void nllbTextGetsItsEndTokenAndStopsAtIt() throws IOException {
    JsonNode golden =
        new ObjectMapper()
            .readTree(Goldens.data().resolve("golden/nllb.json").toFile())
            .get("prompts")
            .get(1);
    String corrupted = golden.get("corrupted-text").asText().replace("</s>", "");
    JsonNode result =
        json("--model", NLLB, "--prompt", corrupted, "--max-new-tokens", "128", "--threads", "1");

    assertThat(ints(result.get("newTokens").get(0))).isEqualTo(ints(golden.get("greedy")));
    assertThat(result.get("expertTokens").size()).isEqualTo(6);
  }

  @ParameterizedTest
  @CsvSource({"HOME, 1", "COHERENT, 1", "HOME, 3", "COHERENT, 3"})
  void aRecordedRunReplaysToTheSameTrafficAndLoads(ParallelMode mode, int mostCopies)
      throws IOException {
    int[][][] map = new int[12][8][];
    for (int layer = 0; layer < 12; layer++) {
      for (int e = 0; e < 8; e++) {
        map[layer][e] = new int[1 + e % mostCopies];
        for (int copy = 0; copy < map[layer][e].length; copy++) {
          map[layer][e][copy] = (e * 3 + layer + copy) % 4;
        }
      }
    }

    Placement placement = Placement.ofCopies(new Topology(1, 4), map);
    Path file = folder.resolve(mostCopies == 1 ? "placement.csv" : "placement.json");
    if (mostCopies == 1) {
      ExFlowCsv.write(placement, file);
    } else {
      writeJson(
          file,
          12,
          8,
          4,
          "\"gpus-of-expert\": " + new ObjectMapper().writeValueAsString(placement.toCopies()));
    }

    Path trace = folder.resolve("trace");
    JsonNode result =
        json(
            "--model",
            MIXTRAL,
            "--placement",
            file.toString(),
            "--ranks",
            "4",
            "--mode",
            mode.word(),
            "--prompt-tokens",
            tokens(GOLDENS.prompts()).toString(),
            "--max-new-tokens",
            "5",
            "--batch-size",
            "3",
            "--record",
            trace.toString(),
            "--timeline",
            folder.resolve("timeline.json").toString(),
            "--threads",
            "1");

    for (int s = 0; s < 8; s++) {
      assertThat(ints(result.get("newTokens").get(s)))
          .isEqualTo(Arrays.copyOf(GOLDENS.greedy().get(s), 5));
    }

    long[][] loads = new long[12][8];
    TrafficReplay replay;
    long tokens = 0;
    try (TraceReader reader = TraceFormat.openTrace(TraceSource.of(trace), TokenSelection.ALL)) {
      replay = new TrafficReplay(reader.shape(), placement, mode);
      for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
        replay.add(next.get());
        tokens += next.get().tokens();
        for (int token = 0; token < next.get().tokens(); token++) {
          for (int layer = 0; layer < 12; layer++) {
            loads[layer][next.get().expert(token, layer, 0)]++;
            loads[layer][next.get().expert(token, layer, 1)]++;
          }
        }
      }
    }

    ObjectMapper mapper = new ObjectMapper();
    assertThat(tokens)
        .isEqualTo(GOLDENS.prompts().stream().mapToLong(ids -> ids.length).sum() + 8 * 4);
    assertThat(result.get("bytesMoved").toString())
        .isEqualTo(mapper.writeValueAsString(replay.moved().toArray(192 * 4)));
    assertThat(result.get("expertTokens").toString()).isEqualTo(mapper.writeValueAsString(loads));
    JsonNode events = mapper.readTree(folder.resolve("timeline.json").toFile()).get("traceEvents");
    List<String> works = new ArrayList<>();
    events.forEach(event -> works.add(event.get("name").asText()));
    assertThat(works).contains("process_name", "attention", "router", "experts", "logits");
  }

  @Test
  void aSampledSequenceDoesNotDependOnWhichOnesRunWithIt() throws IOException {
    List<String> found = new ArrayList<>();
    for (String batch : List.of("8", "3", "1")) {
      out.getBuffer().setLength(0);
      found.add(
          json(
                  "--model",
                  MIXTRAL,
                  "--prompt-tokens",
                  tokens(GOLDENS.prompts()).toString(),
                  "--temperature",
                  "1",
                  "--max-new-tokens",
                  "6",
                  "--batch-size",
                  batch,
                  "--threads",
                  "1")
              .get("newTokens")
              .toString());
    }

    assertThat(found).containsOnly(found.get(0));
  }

  @Test
  void aSampledRunDependsOnItsSeedAlone() throws IOException {
    String[] arguments = {
      "--model",
      MIXTRAL,
      "--prompt",
      "The expert",
      "--temperature",
      "1",
      "--top-p",
      "0.9",
      "--max-new-tokens",
      "12",
      "--ignore-eos",
      "--threads",
      "1",
      "--seed"
    };
    List<String> found = new ArrayList<>();
    for (String seed : List.of("1", "1", "2")) {
      out.getBuffer().setLength(0);
      found.add(
          json(Stream.concat(Arrays.stream(arguments), Stream.of(seed)).toArray(String[]::new))
              .get("tokens")
              .toString());
    }

    assertThat(found.get(1)).isEqualTo(found.get(0));
    assertThat(found.get(2)).isNotEqualTo(found.get(0));
  }

  /** A placement file of one node, with its map. */
  private static void writeJson(Path file, int layers, int experts, int gpus, String map)
      throws IOException {
    Files.writeString(
        file,
        """
        {"format-version": 1, "shape": {"layers": %d, "experts": %d, "top-k": %d},
         "topology": {"nodes": 1, "gpus-per-node": %d}, "objective": "hops",
         "solver": {"name": "x", "status": "feasible", "objective": 0, "bound": 0, "gap": 0,
                    "seconds": 0, "seed": 1, "note": ""},
         "in-sample": {"tokens": 0, "hops": 0, "crossings": 0, "inter-node": 0, "gpu-touches": 0,
                       "node-touches": 0, "load-mean-max-over-mean": 0,
                       "load-worst-max-over-mean": 0},
         "source": {"affinity": [], "trace": "", "tokens": "", "sequences": ""},
         %s}
        """
            .formatted(layers, experts, layers == 1 ? 1 : 2, gpus, map));
  }

  @Test
  void aPlacementForAnotherModelIsRefusedWithBothShapes() throws IOException {
    Path json = folder.resolve("placement.json");
    writeJson(json, 1, 2, 2, "\"gpu-of-expert\": [[0, 1]]");

    assertThat(run("--model", MIXTRAL, "--prompt", "x", "--placement", json.toString()))
        .isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines(
            "atlas: Cannot use %s: it is for 1 MoE layers x 2 experts, top-1, the model has 12 MoE"
                    .formatted(json)
                + " layers x 8 experts, top-2");
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void randomWeightsRouteAsOftenAsAskedFor() throws IOException {
    JsonNode result =
        json(
            "--random-weights",
            "mixtral-tiny",
            "--gini",
            "0.4",
            "--random-prompts",
            "4x200",
            "--max-new-tokens",
            "2",
            "--seed",
            "3",
            "--ranks",
            "2",
            "--threads",
            "1");

    assertThat(result.get("model").asText()).isEqualTo("mixtral-tiny");
    assertThat(result.get("newTokens").get(3).size()).isBetween(1, 2);
    for (JsonNode layer : result.get("expertTokens")) {
      int[] falling =
          Arrays.stream(ints(layer)).boxed().sorted((a, b) -> b - a).mapToInt(n -> n).toArray();
      double weighted = 0;
      for (int e = 0; e < 5; e++) {
        weighted += falling[e] * (4 - 2.0 * e);
      }

      assertThat(weighted / 5 / Arrays.stream(falling).sum()).isBetween(0.3, 0.5);
    }
  }

  /** A capture of top-2 choices among 5 experts: how often each pair, in each layer. */
  private Path popular(int[]... tokensOfFirst) throws IOException {
    int layers = tokensOfFirst.length;
    int tokens = Arrays.stream(tokensOfFirst[0]).sum();
    ModelShape shape = new ModelShape(layers, 5, 2);
    short[] experts = new short[tokens * layers * 2];
    int[] position = new int[tokens];
    for (int layer = 0; layer < layers; layer++) {
      int token = 0;
      for (int first = 0; first < 5; first++) {
        for (int i = 0; i < tokensOfFirst[layer][first]; i++, token++) {
          experts[(token * layers + layer) * 2] = (short) first;
          experts[(token * layers + layer) * 2 + 1] = (short) ((first + 1 + i % 2) % 5);
          position[token] = token;
        }
      }
    }

    Path trace = Files.createDirectory(folder.resolve("popular"));
    List<Integer> numbers = IntStream.range(0, layers).boxed().toList();
    new CaptureWriter("m", "MixtralForCausalLM", "decoder", numbers, 48, "a test")
        .write(
            RoutingTrace.of(
                shape, experts, new float[0], new int[tokens], position, new byte[tokens]),
            trace);
    return trace;
  }

  @Test
  void randomWeightsRouteAsOftenAsATraceDoes() throws IOException {
    // shares of choices, first and second: the last layer of three takes the second one's
    int[][] tokensOfFirst = {{50, 20, 10, 10, 10}, {2, 8, 10, 60, 20}};
    double[][] shares = {{0.3, 0.25, 0.225, 0.125, 0.1}, {0.21, 0.095, 0.075, 0.345, 0.275}};
    JsonNode result =
        json(
            "--random-weights",
            "mixtral-tiny",
            "--popularity-trace",
            popular(tokensOfFirst).toString(),
            "--random-prompts",
            "20x200",
            "--max-new-tokens",
            "1",
            "--threads",
            "1");

    assertThat(err.toString())
        .startsWith(
            folder.resolve("popular")
                + " has 2 MoE layers, mixtral-tiny has 3: each takes the popularity of the layer at"
                + " its place in the trace, layer l that of floor(l * 2 / 3)");
    int[] from = {0, 0, 1};
    for (int layer = 0; layer < 3; layer++) {
      int[] counts = ints(result.get("expertTokens").get(layer));
      double variation = 0;
      for (int e = 0; e < 5; e++) {
        variation += Math.abs(counts[e] / 8000.0 - shares[from[layer]][e]) / 2;
      }

      System.out.printf("layer %d: total variation %.3f%n", layer, variation);
      assertThat(variation).as("total variation in layer %d", layer).isLessThan(0.06);
    }
  }

  @Test
  void popularityThatCannotBeFollowedIsRefused() throws IOException {
    String trace = Goldens.data().resolve("traces/mixtral-top2.npy").toString();
    assertFails(
        1,
        "atlas: Cannot take the popularity of 5 experts from %s: ".formatted(trace),
        "--random-weights",
        "mixtral-tiny",
        "--popularity-trace",
        trace,
        "--random-prompts",
        "1x1");
    assertFails(
        1,
        "atlas: Cannot take the popularity of 5 experts from nowhere: Cannot read nowhere: no such",
        "--random-weights",
        "mixtral-tiny",
        "--popularity-trace",
        "nowhere",
        "--random-prompts",
        "1x1");
    assertFails(
        2,
        "atlas: Invalid --popularity-trace: %s has weights of its own".formatted(MIXTRAL),
        "--model",
        MIXTRAL,
        "--popularity-trace",
        trace,
        "--prompt",
        "x");
    assertFails(
        2,
        "atlas: Invalid --gini and --popularity-trace: only one of them",
        "--random-weights",
        "mixtral-tiny",
        "--popularity-trace",
        trace,
        "--gini",
        "0.1",
        "--random-prompts",
        "1x1");
  }

  @Test
  void badInputFailsWithOneLine() throws IOException {
    assertFails(2, "atlas: Missing prompt: one of", "--model", MIXTRAL);
    assertFails(
        2,
        "atlas: Invalid top-p: 0.0, above 0",
        "--model",
        MIXTRAL,
        "--prompt",
        "x",
        "--top-p",
        "0");
    assertFails(
        2,
        "atlas: Invalid --max-new-tokens: 0, at least 1",
        "--model",
        MIXTRAL,
        "--prompt",
        "x",
        "--max-new-tokens",
        "0");
    assertFails(
        2,
        "atlas: Invalid shape: gpt, one of mixtral-8x7b",
        "--random-weights",
        "gpt",
        "--random-prompts",
        "1x1");
    assertFails(
        2,
        "atlas: Invalid value for option '--random-prompts': Invalid random prompts: 3",
        "--random-weights",
        "mixtral-tiny",
        "--random-prompts",
        "3");
    assertFails(
        1,
        "atlas: Cannot read checkpoint nowhere: no such folder",
        "--model",
        "nowhere",
        "--prompt",
        "x");
    assertFails(
        1,
        "atlas: Invalid --max-new-tokens: 1024 after a prompt of 2, the model has 1024",
        "--model",
        MIXTRAL,
        "--prompt",
        "x",
        "--max-new-tokens",
        "1024");
    Path file = folder.resolve("bad.jsonl");
    Files.writeString(file, "\"good\"\n{\"text\": 1}\n");
    assertFails(
        1,
        "atlas: Invalid prompt in %s:2: expected a text".formatted(file),
        "--model",
        MIXTRAL,
        "--prompts",
        file.toString());
    Files.write(file, new byte[40]);
    assertFails(
        1,
        "atlas: Invalid token array %s: no .npy header".formatted(file),
        "--model",
        MIXTRAL,
        "--prompt-tokens",
        file.toString());
    assertFails(
        1,
        "atlas: Invalid token id in prompt 0: 4096, the model has 0 to 4095",
        "--model",
        MIXTRAL,
        "--prompt-tokens",
        tokens(List.of(new int[] {0, 4096})).toString());
    Files.createDirectory(folder.resolve("there"));
    assertFails(
        1,
        "atlas: Cannot write %s: it exists already".formatted(folder.resolve("there")),
        "--model",
        MIXTRAL,
        "--prompt",
        "x",
        "--record",
        folder.resolve("there").toString());
  }

  @Test
  void theCpuComputesMissingExpertsBesideTheDevice() throws IOException {
    String offload =
        "--model %s --prompt-tokens %s --offload popularity --expert-slots 20 --threads 1"
            .formatted(MIXTRAL, tokens(GOLDENS.prompts()));
    JsonNode none = json((offload + " --max-new-tokens 16 --cpu-experts none").split(" "));
    out.getBuffer().setLength(0);
    Path timeline = folder.resolve("timeline.json");
    JsonNode shared =
        json(
            (offload + " --max-new-tokens 16 --cpu-experts min-max --timeline " + timeline)
                .split(" "));

    assertThat(shared.get("newTokens")).isEqualTo(none.get("newTokens"));
    assertThat(none.get("cpu-experts").asText()).isEqualTo("none");
    assertThat(none.get("expert-cpu").asLong()).isZero();
    assertThat(none.has("link-milliseconds")).isFalse();
    assertThat(none.has("cpu-expert-milliseconds")).isFalse();
    assertThat(shared.get("cpu-experts").asText()).isEqualTo("min-max");
    assertThat(shared.get("link-milliseconds").asDouble()).isPositive();
    JsonNode costs = shared.get("cpu-expert-milliseconds");
    assertThat(costs.get(0).get("rows").asInt()).isEqualTo(1);
    for (JsonNode cost : costs) {
      assertThat(cost.get("milliseconds").asDouble()).isPositive();
    }

    assertThat(needed(shared)).isEqualTo(needed(none));
    boolean hasSpans = Files.readString(timeline).contains("cpu experts");
    assertThat(hasSpans).isEqualTo(shared.get("expert-cpu").asLong() > 0);
    assertThat(err.toString()).contains("were computed on the CPU by min-max; an expert takes ");
  }

  private static long needed(JsonNode result) {
    return Stream.of("expert-hits", "expert-foretold", "expert-loads", "expert-cpu")
        .mapToLong(key -> result.get(key).asLong())
        .sum();
  }

  @Test
  void offloadedExpertsAreLoadedAndCounted() throws IOException {
    Path prompts = tokens(GOLDENS.prompts());
    String[] arguments = {
      "--model", MIXTRAL, "--prompt-tokens", prompts.toString(), "--max-new-tokens", "4"
    };
    JsonNode resident = json(arguments);
    out.getBuffer().setLength(0);
    JsonNode offloaded =
        json(
            Stream.concat(
                    Arrays.stream(arguments),
                    Stream.of("--offload", "popularity", "--expert-slots", "20"))
                .toArray(String[]::new));

    assertThat(offloaded.get("newTokens")).isEqualTo(resident.get("newTokens"));
    assertThat(resident.get("expert-loads").asLong()).isZero();
    assertThat(offloaded.get("expert-loads").asLong()).isGreaterThan(20);
    assertThat(offloaded.get("expert-hits").asLong()).isPositive();
    assertThat(offloaded.get("expert-bytes-loaded").asLong())
        .isEqualTo(offloaded.get("expert-loads").asLong() * 3 * 192 * 64 * Float.BYTES);
    assertThat(err.toString()).contains("% of the needed ones were on the device");
  }

  @Test
  void foretoldExpertsAreFetchedAheadAndCounted() throws IOException {
    Path prompts = tokens(GOLDENS.prompts());
    String routes = folder.resolve("routes").toString();
    String common =
        "--model %s --prompt-tokens %s --offload lru --expert-slots 20 --max-new-tokens 4";
    String arguments = common.formatted(MIXTRAL, prompts);
    JsonNode without = json((arguments + " --record " + routes).split(" "));
    assertThat(without.get("predictor").asText()).isEqualTo("none");
    Path previous = Files.createDirectory(folder.resolve("previous-token"));
    PredictorFiles.write(previousToken(previous), previous);
    for (String predictor :
        List.of("popularity", "next-gate", previous.toString(), "oracle --routes " + routes)) {
      out.getBuffer().setLength(0);
      JsonNode with = json((arguments + " --predictor " + predictor).split(" "));

      assertThat(with.get("newTokens")).isEqualTo(without.get("newTokens"));
      assertThat(with.get("predictor").asText()).isEqualTo(predictor.split(" ")[0]);
      assertThat(with.get("expert-foretold").asLong()).isPositive();
      assertThat(with.get("expert-foretold-arrived")).isEqualTo(with.get("expert-foretold"));
      assertThat(with.get("expert-loads").asLong())
          .isLessThan(without.get("expert-loads").asLong());
      assertThat(err.toString()).contains("foretold by " + predictor.split(" ")[0] + ": ");
    }

    JsonNode oracle = new ObjectMapper().readTree(out.toString());
    assertThat(oracle.get("expert-loads").asLong()).isLessThanOrEqualTo(8); // the first layer's
    assertThat(oracle.get("expert-loads-wasted").asLong()).isZero();
  }

  private static SavedPredictor previousToken(Path file) {
    float[] flat = new float[12 * 8];
    Arrays.fill(flat, 1 / 8f);
    return new SavedPredictor(
        Predictors.of(
            PredictorKind.PREVIOUS_TOKEN,
            new PredictedModel("", new ModelShape(12, 8, 2), 0),
            1,
            Map.of("popularity", new WeightTensor(List.of(12, 8), flat)),
            file),
        new SequenceSplit(1, new int[0], new int[0]),
        new SavedPredictor.Training("", "", 0, 0, 0, 0, List.of()));
  }

  @Test
  void whatDoesNotForetellThisModelIsRefusedBeforeItIsLoaded() throws IOException {
    String offload = "--offload lru --expert-slots 9 --prompt-tokens " + tokens(GOLDENS.prompts());
    String nllb = folder.resolve("nllb").toString();
    assertThat(
            run(("--model " + NLLB + " --prompt x --max-new-tokens 2 --record " + nllb).split(" ")))
        .isZero();
    assertFails(
        1,
        "atlas: Cannot foretell by the routes of " + nllb + "/encoder: Invalid ",
        ("--model %s %s --predictor oracle --routes %s/encoder".formatted(MIXTRAL, offload, nllb))
            .split(" "));
    assertFails(
        1,
        "atlas: Cannot fetch experts ahead by popularity: Mixtral",
        ("--model %s %s --predictor popularity --ranks 2".formatted(MIXTRAL, offload)).split(" "));
    assertFails(
        1,
        "atlas: Cannot fetch experts ahead by next-gate: Nllb",
        ("--model %s %s --predictor next-gate".formatted(NLLB, offload)).split(" "));
    Path previous = Files.createDirectory(folder.resolve("other"));
    PredictorFiles.write(previousToken(previous), previous);
    assertFails(
        1,
        "atlas: Cannot use predictor " + previous + ": its MoE layers is 12, here it is 3",
        ("--random-weights mixtral-tiny --random-prompts 1x2 --offload lru --expert-slots 9"
                + " --predictor "
                + previous)
            .split(" "));
  }

  private void assertFails(int code, String message, String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    assertThat(run(arguments)).as(err.toString()).isEqualTo(code);
    assertThat(err.toString()).startsWith(message);
    assertThat(err.toString().lines().count()).isEqualTo(code);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void tooLittleGpuMemoryIsRefusedBeforeAnythingStarts() {
    int code =
        run(
            "--random-weights",
            "mixtral-8x7b",
            "--random-prompts",
            "1x512",
            "--device",
            "cuda",
            "--gpus",
            "1",
            "--gpu-memory",
            "80GB");

    assertThat(code).isEqualTo(1);
    assertThat(err.toString())
        .matches(
            "(?s).*Cannot run on GPU 0: the model and its buffers need 9[3-6]\\.\\d\\d GB there,"
                + " --gpu-memory allows 80\\.00 GB\\. Maybe use more GPUs, smaller batches,"
                + " shorter prefill steps or --offload\\R");
    assertThat(out.toString()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--precision float16|Invalid value for option '--precision'",
        "--gpus 2|Invalid --gpus or --gpu-memory: the device is the CPU",
        "--offload lru|Missing --expert-slots: with --offload the CPU needs it",
        "--expert-slots 4|Invalid --expert-slots: experts stay on the device. Maybe add --offload",
        "--offload lru --expert-slots 513|Invalid --expert-slots: 513, 1 to 512",
        "--predictor popularity|Invalid --predictor: popularity, experts stay on the device. Maybe add",
        "--cpu-experts min-max|Invalid --cpu-experts: min-max, experts stay on the device. Maybe add",
        "--cpu-experts all|Invalid --cpu-experts: all, expected none or min-max",
        "--predictor best|Invalid --predictor: best, expected none, popularity, next-gate, oracle, or",
        "--offload lru --expert-slots 4 --predictor oracle|Invalid --routes: with --predictor oracle",
        "--routes T|Invalid --routes: with --predictor oracle, and only with it",
        "--offload random|Invalid value for option '--offload'",
        "--gpu-memory 1GB|Invalid --gpus or --gpu-memory: the device is the CPU",
        "--device cuda --gpu-memory 0.1B|Invalid size: 0.1B, expected bytes",
        "--device cuda --gpu-memory 80XB|Invalid size: 80XB, expected bytes",
        "--device cuda --gpus -1|Invalid --gpus: -1, at least 0"
      })
  void deviceOptionsThatCannotBeAreRefused(String options, String message) {
    List<String> arguments = new ArrayList<>(List.of("--model", MIXTRAL, "--prompt", "x"));
    arguments.addAll(Arrays.asList(options.split(" ")));

    assertThat(run(arguments.toArray(String[]::new))).isEqualTo(2);
    assertThat(err.toString()).contains(message);
  }
}
