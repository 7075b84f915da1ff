package io.expertatlas.placement.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class CommandsTest {
  private static final RoutingTrace TRACE = Routes.random(5, 8, 2, 600, 3);

  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private String affinity;
  private String npy;

  @BeforeEach
  void writeInputs() throws IOException {
    affinity = folder.resolve("affinity").toString();
    AffinityFiles.write(Routes.count(TRACE.slice(0, 300)), Path.of(affinity));
    npy = folder.resolve("trace.npy").toString();
    Files.write(Path.of(npy), npy(TRACE));
  }

  /** The trace as an npy file of unsigned bytes, [tokens, layers, k]. */
  private static byte[] npy(RoutingTrace trace) {
    String header =
        "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d), }"
            .formatted(trace.tokens(), trace.shape().layers(), trace.shape().topK());
    header += " ".repeat(63 - (10 + header.length()) % 64) + "\n";
    ByteBuffer bytes =
        ByteBuffer.allocate(10 + header.length() + trace.tokens() * trace.shape().choicesPerToken())
            .order(ByteOrder.LITTLE_ENDIAN);
    bytes.put(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0});
    bytes.putShort((short) header.length());
    bytes.put(header.getBytes(StandardCharsets.US_ASCII));
    for (int token = 0; token < trace.tokens(); token++) {
      for (int layer = 0; layer < trace.shape().layers(); layer++) {
        for (int rank = 0; rank < trace.shape().topK(); rank++) {
          bytes.put((byte) trace.expert(token, layer, rank));
        }
      }
    }

    return bytes.array();
  }

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line =
        new CommandLine(new Main()).setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Terminal.execute(line, arguments);
  }

  private int place(String output, String... more) {
    return run(
        Stream.concat(
                Stream.of(
                    "place", "--affinity", affinity, "--output", folder.resolve(output).toString()),
                Stream.of(more))
            .toArray(String[]::new));
  }

  private List<String> filesOf(Path where) throws IOException {
    try (Stream<Path> files = Files.list(where)) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void placeThenEvaluate() throws IOException {
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "4", "--json")).isZero();
    assertThat(filesOf(folder.resolve("plan"))).containsExactly("placement.csv", "placement.json");
    assertThat(filesOf(folder)).containsExactly("affinity", "plan", "trace.npy");
    JsonNode placed = new ObjectMapper().readTree(out.toString());
    assertThat(placed.get("status").asText()).isEqualTo("optimal");
    assertThat(err.toString())
        .contains("2 experts of each layer on every GPU", "greedy-load", "gap 0.0 %");

    Placement placement = PlacementParser.read(folder.resolve("plan/placement.json")).placement();
    PlacementCost heldOut = PlacementCost.replay(Routes.reader(TRACE.slice(300, 600)), placement);
    for (String name : List.of("plan", "plan/placement.csv", "plan/placement.json")) {
      assertThat(
              run(
                  "evaluate",
                  "--trace",
                  npy,
                  "--experts",
                  "8",
                  "--tokens",
                  "300:",
                  "--nodes",
                  "1",
                  "--gpus-per-node",
                  "4",
                  "--json",
                  "--placement",
                  folder.resolve(name).toString()))
          .as(err.toString())
          .isZero();
      JsonNode node = new ObjectMapper().readTree(out.toString());
      assertThat(node.get("tokens").asLong()).isEqualTo(300);
      assertThat(node.get("total-hops").asLong()).isEqualTo(heldOut.hops());
      assertThat(out.toString())
          .contains(
              String.format(
                  Locale.ROOT,
                  "\"tokens\":300,\"hops\":%.6f,\"crossings\":%.6f,\"interNode\":%.6f,\"gpusPerToken\":%.6f,\"nodesPerToken\":%.6f,\"loadMeanMaxOverMean\":%.6f,\"loadWorstMaxOverMean\":%.6f,\"balanced\":true",
                  heldOut.hopsPerToken(),
                  heldOut.crossingsPerToken(),
                  heldOut.interNodePerToken(),
                  heldOut.gpusPerToken(),
                  heldOut.nodesPerToken(),
                  heldOut.loadMeanMaxOverMean(),
                  heldOut.loadWorstMaxOverMean()));
    }
  }

  @Test
  void severalPlacementsHaveLabelsAndTheClusterOfTheJson() throws IOException {
    assertThat(place("plan", "--nodes", "2", "--gpus-per-node", "2")).isZero();
    assertThat(
            run(
                "evaluate",
                "--trace",
                npy,
                "--experts",
                "8",
                "--json",
                "--placement",
                "vanilla",
                "ours=" + folder.resolve("plan"),
                "random"))
        .as(err.toString())
        .isZero();
    JsonNode all = new ObjectMapper().readTree(out.toString()).get("placements");
    assertThat(all).hasSize(3);
    assertThat(all.get(1).get("placement").asText()).isEqualTo("ours");
    assertThat(all.get(1).get("nodes").asInt()).isEqualTo(2);
    assertThat(all.get(1).get("hops").asDouble()).isLessThan(all.get(0).get("hops").asDouble());
    assertThat(err.toString()).contains("600 tokens", "vs vanilla", "+0.0 %");
  }

  @Test
  void exflowNamesAndOverwriting() throws IOException {
    String[] cluster = {"--nodes", "1", "--gpus-per-node", "2", "--solver", "vanilla"};
    assertThat(
            place(
                "plan",
                Stream.concat(Stream.of(cluster), Stream.of("--csv-name", "exflow"))
                    .toArray(String[]::new)))
        .isZero();
    assertThat(filesOf(folder.resolve("plan")).get(1))
        .matches("solution_intra2_inter1_cost[0-9.]+_cintra[0-9.]+_cinter0\\.csv");
    assertThat(place("plan", cluster)).isEqualTo(1);
    assertThat(err.toString()).contains("it exists already");
    assertThat(
            place(
                "plan",
                Stream.concat(Stream.of(cluster), Stream.of("--overwrite")).toArray(String[]::new)))
        .isZero();
    assertThat(filesOf(folder.resolve("plan"))).containsExactly("placement.csv", "placement.json");

    Files.writeString(folder.resolve("plan/thesis.tex"), "precious");
    assertThat(
            place(
                "plan",
                Stream.concat(Stream.of(cluster), Stream.of("--overwrite")).toArray(String[]::new)))
        .isEqualTo(1);
    assertThat(err.toString()).contains("it holds thesis.tex, which no placement folder has");
  }

  @Test
  void growingPrefixesAreSolvedInTurn() {
    String whole = folder.resolve("whole").toString();
    AffinityFiles.write(Routes.count(TRACE), Path.of(whole));
    assertThat(
            place(
                "plan",
                "--affinity",
                whole,
                "--nodes",
                "1",
                "--gpus-per-node",
                "2",
                "--solver",
                "bipart",
                "--threads",
                "1"))
        .as(err.toString())
        .isZero();
    assertThat(err.toString()).contains("600 tokens");
  }

  @Test
  void whatCannotBeSolvedLeavesNothing() throws IOException {
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--solver", "assignment"))
        .isEqualTo(1);
    assertThat(err.toString())
        .contains("atlas: Cannot place with assignment: unsupported, it needs one expert");
    assertThat(filesOf(folder)).containsExactly("affinity", "trace.npy");
  }

  @Test
  void usageErrorsAreTwo() {
    assertThat(place("plan", "--nodes", "1")).isEqualTo(2);
    assertThat(err.toString()).contains("Missing required option: '--gpus-per-node=G'");
    assertThat(place("plan", "--nodes", "0", "--gpus-per-node", "2")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid topology: 0 nodes x 2 GPUs");
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--solver", "magic"))
        .isEqualTo(2);
    assertThat(err.toString()).contains("Invalid solver: magic, one of assignment, auto");
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--time-limit", "soon"))
        .isEqualTo(2);
    assertThat(err.toString()).contains("Invalid duration: soon");
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--objective", "joy"))
        .isEqualTo(2);
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--threads", "0"))
        .isEqualTo(2);
    assertThat(err.toString()).contains("Invalid number of threads: 0, at least 1");
    assertThat(run("evaluate", "--trace", npy, "--experts", "8", "--placement", "vanilla"))
        .isEqualTo(2);
    assertThat(run("fly")).isEqualTo(2);
  }

  @Test
  void badInputIsOneLine() throws IOException {
    Path csv = Files.writeString(folder.resolve("bad.csv"), "Expert,Node\n0,9\n");
    String[] evaluate = {
      "evaluate",
      "--trace",
      npy,
      "--experts",
      "8",
      "--nodes",
      "1",
      "--gpus-per-node",
      "2",
      "--placement"
    };
    assertThat(
            run(
                Stream.concat(Stream.of(evaluate), Stream.of(csv.toString()))
                    .toArray(String[]::new)))
        .isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines(
            "atlas: Cannot read " + csv + ":2: GPU 9, the topology 1x2 has 0 to 1");
    assertThat(
            run(
                Stream.concat(Stream.of(evaluate), Stream.of("nowhere.csv"))
                    .toArray(String[]::new)))
        .isEqualTo(1);
    assertThat(err.toString()).contains("nowhere.csv: no such file or folder");
    assertThat(
            run(
                Stream.concat(Stream.of(evaluate), Stream.of("vanilla", "--tokens", "900:"))
                    .toArray(String[]::new)))
        .isEqualTo(1);
    assertThat(err.toString()).contains("No token of " + npy + " is selected by tokens 900:");
    assertThat(
            run(
                "place",
                "--affinity",
                folder.resolve("none").toString(),
                "--nodes",
                "1",
                "--gpus-per-node",
                "2",
                "--output",
                folder.resolve("plan").toString()))
        .isEqualTo(1);
    assertThat(err.toString()).contains("none: no such file or folder");

    Files.writeString(Path.of(affinity).resolve("summary.json"), "{");
    assertThat(place("two", "--nodes", "1", "--gpus-per-node", "4")).isEqualTo(1);
    assertThat(err.toString()).contains("Cannot read " + Path.of(affinity).resolve("summary.json"));
    assertThat(folder.resolve("two")).doesNotExist();
    Files.delete(Path.of(affinity).resolve("summary.json"));

    assertThat(place("one", "--nodes", "1", "--gpus-per-node", "4", "--solver", "vanilla"))
        .isZero();
    assertThat(
            run(
                Stream.concat(Stream.of(evaluate), Stream.of(folder.resolve("one").toString()))
                    .toArray(String[]::new)))
        .isEqualTo(1);
    assertThat(err.toString()).contains("it is for 1x4 GPUs, here are 1x2");
    assertThat(new Topology(1, 4)).hasToString("1x4");
  }

  private String golden(String name) throws IOException {
    Path file = folder.resolve("golden-" + name);
    try (InputStream in = Placement.class.getResourceAsStream("format/engines/" + name)) {
      Files.write(file, in.readAllBytes());
    }

    return file.toString();
  }

  private int evaluate(String... placements) {
    return run(
        Stream.concat(
                Stream.of(
                    "evaluate",
                    "--trace",
                    npy,
                    "--experts",
                    "8",
                    "--nodes",
                    "2",
                    "--gpus-per-node",
                    "2",
                    "--json",
                    "--placement"),
                Stream.of(placements))
            .toArray(String[]::new));
  }

  @Test
  void everyEngineFileScoresAsThePlacementItIsOf() throws IOException {
    String[] formats = {"sglang", "trtllm", "vllm-ascend", "vllm", "vllm-list"};
    assertThat(
            place(
                "plan",
                "--nodes",
                "2",
                "--gpus-per-node",
                "2",
                "--export",
                String.join(",", formats) + ",ktransformers",
                "--json"))
        .as(err.toString())
        .isZero();
    JsonNode placed = new ObjectMapper().readTree(out.toString());
    assertThat(placed.get("model-layers-known").asBoolean()).isFalse();
    assertThat(placed.get("exports")).hasSize(6);
    assertThat(err.toString())
        .contains(
            "Files of engines, no model config given: the placement's layers are written as layers"
                + " 0 to 4",
            "sglang: --init-expert-location sglang.json");
    Path plan = folder.resolve("plan");
    assertThat(filesOf(plan))
        .containsExactly(
            "ktransformers.pt",
            "placement.csv",
            "placement.json",
            "sglang.json",
            "trtllm.yaml",
            "vllm-ascend.json",
            "vllm-list.json",
            "vllm.jsonl");
    assertThat(
            evaluate(
                plan.toString(),
                plan.resolve("sglang.json").toString(),
                "trt=" + plan.resolve("trtllm.yaml"),
                plan.resolve("vllm-ascend.json").toString(),
                plan.resolve("vllm-list.json").toString(),
                plan.resolve("vllm.jsonl").toString()))
        .as(err.toString())
        .isZero();
    JsonNode all = new ObjectMapper().readTree(out.toString()).get("placements");
    assertThat(all).hasSize(6);
    for (JsonNode one : all) {
      assertThat(one.get("total-hops")).isEqualTo(all.get(0).get("total-hops"));
      assertThat(one.get("gpusPerToken")).isEqualTo(all.get(0).get("gpusPerToken"));
    }

    for (String format : formats) {
      assertThat(evaluate(plan.toString(), "--placement-format", format)).as(format + err).isZero();
      assertThat(new ObjectMapper().readTree(out.toString()).get("total-hops"))
          .isEqualTo(all.get(0).get("total-hops"));
    }

    assertThat(evaluate(plan.resolve("ktransformers.pt").toString())).isEqualTo(1);
    assertThat(err.toString()).contains("a torch file of counts");
    assertThat(evaluate(plan.toString(), "--placement-format", "magic")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid placement format: magic, one of sglang, trtllm");
  }

  @Test
  void modelConfigPutsLayersInTheirPlace() throws IOException {
    // 5 placed layers are the 4 MoE layers of the model and the one for MTP.
    assertThat(
            place(
                "plan",
                "--nodes",
                "2",
                "--gpus-per-node",
                "2",
                "--solver",
                "eplb",
                "--export",
                "trtllm,sglang",
                "--model-config",
                golden("config.json")))
        .as(err.toString())
        .isZero();
    assertThat(err.toString())
        .contains(
            "groups on nodes first: 2 groups",
            "Files of engines, model of 5 layers: 4 MoE layers placed, the first is layer 1, the"
                + " last 4, 1 MTP layers placed");
    Path plan = folder.resolve("plan");
    assertThat(Files.readAllLines(plan.resolve("trtllm.yaml")).get(6)).startsWith("  5: [");
    assertThat(evaluate(plan.resolve("trtllm.yaml").toString())).isEqualTo(1);
    assertThat(err.toString()).contains("layer 5 is none of the MoE layers").contains("Maybe give");
    assertThat(
            evaluate(
                plan.toString(),
                plan.resolve("trtllm.yaml").toString(),
                "--model-config",
                folder.resolve("golden-config.json").toString()))
        .as(err.toString())
        .isZero();
    JsonNode all = new ObjectMapper().readTree(out.toString()).get("placements");
    assertThat(all.get(1).get("total-hops")).isEqualTo(all.get(0).get("total-hops"));
  }

  @Test
  void whatAnEngineCannotHoldIsRefusedBeforeTheSolve() throws IOException {
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "3", "--export", "sglang"))
        .isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines(
            "atlas: Cannot export sglang: 8 slots of a layer on 3 GPUs, the engine needs equally many"
                + " on each. Maybe add 1 for copies of experts");
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "3", "--solver", "eplb"))
        .isEqualTo(1);
    assertThat(err.toString())
        .contains(
            "atlas: Cannot place with eplb: unsupported, equal slots for 8 experts on 3 GPUs need"
                + " copies of experts. Maybe use --redundant 1");
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--export", "llama-cpp"))
        .isEqualTo(1);
    assertThat(err.toString()).contains("Cannot export llama-cpp: it keeps all experts");
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--export", "vllm-ranks"))
        .isEqualTo(1);
    assertThat(err.toString()).contains("Maybe export vllm or vllm-list");
    assertThat(place("plan", "--nodes", "1", "--gpus-per-node", "2", "--export", "gguf"))
        .isEqualTo(2);
    assertThat(err.toString()).contains("Invalid placement format: gguf, one of sglang");
    assertThat(
            place("plan", "--nodes", "1", "--gpus-per-node", "2", "--model-config", "nowhere.json"))
        .isEqualTo(1);
    assertThat(err.toString()).contains("nowhere.json: no such file or folder");
    assertThat(filesOf(folder)).containsExactly("affinity", "trace.npy");
  }

  @Test
  void redundantSlotsBecomeCopiesThatEnginesAndEvaluateRead() throws IOException {
    assertThat(
            place(
                "plan",
                "--nodes",
                "2",
                "--gpus-per-node",
                "2",
                "--objective",
                "load",
                "--redundant",
                "4",
                "--export",
                "sglang,trtllm,vllm-ascend,vllm,vllm-list",
                "--json"))
        .as(err.toString())
        .isZero();
    assertThat(filesOf(folder.resolve("plan")))
        .containsExactly(
            "placement.json",
            "sglang.json",
            "trtllm.yaml",
            "vllm-ascend.json",
            "vllm-list.json",
            "vllm.jsonl");
    JsonNode placed = new ObjectMapper().readTree(out.toString());
    assertThat(placed.get("redundant").intValue()).isEqualTo(4);
    assertThat(placed.get("hops-estimated").booleanValue()).isTrue();
    assertThat(err.toString())
        .contains(
            "3 slots of each layer on every GPU, 4 redundant ones in all",
            "eplb  ",
            "~ estimated: pairs of experts do not tell which copy a token is on",
            "Experts have copies: no csv was written");
    Placement placement = PlacementParser.read(folder.resolve("plan/placement.json")).placement();
    assertThat(placement.hasCopies()).isTrue();
    PlacementCost cost = PlacementCost.replay(Routes.reader(TRACE), placement);
    for (String file :
        List.of("placement.json", "sglang.json", "trtllm.yaml", "vllm-list.json", "vllm.jsonl")) {
      assertThat(evaluate(folder.resolve("plan").resolve(file).toString()))
          .as(err.toString())
          .isZero();
      JsonNode node = new ObjectMapper().readTree(out.toString());
      assertThat(node.get("total-hops").asLong()).isEqualTo(cost.hops());
      assertThat(node.get("total-gpu-touches").asLong()).isEqualTo(cost.gpuTouches());
      assertThat(node.has("hops-estimated")).isFalse();
    }
  }

  @Test
  void redundantSlotsForOtherAims() throws IOException {
    assertThat(
            place(
                "plan",
                "--nodes",
                "2",
                "--gpus-per-node",
                "2",
                "--objective",
                "fanout",
                "--redundant-per-gpu",
                "1",
                "--max-load",
                "1.2",
                "--time-limit",
                "2s",
                "--json"))
        .as(err.toString())
        .isZero();
    assertThat(err.toString()).contains("Cap on load: met in all 5 layers");
    assertThat(
            place(
                "other",
                "--nodes",
                "2",
                "--gpus-per-node",
                "2",
                "--solver",
                "eplb",
                "--redundant",
                "0"))
        .as(err.toString())
        .isZero();
    assertThat(filesOf(folder.resolve("other"))).containsExactly("placement.csv", "placement.json");
  }

  @Test
  void redundantSlotsThatDoNotFitAreRefused() throws IOException {
    check(
        1,
        "Invalid redundant slots: 3 with 8 experts on 4 GPUs, expected 0 or 4 more of them at a time",
        "--redundant",
        "3");
    check(2, "Invalid redundant slots: -4, at least 0", "--redundant", "-4");
    check(
        2,
        "Invalid options: --redundant and --redundant-per-gpu, expected one of them",
        "--redundant",
        "4",
        "--redundant-per-gpu",
        "1");
    check(
        2,
        "Invalid solver for redundant slots: pool, one of auto, eplb",
        "--redundant",
        "4",
        "--solver",
        "pool");
    check(
        2,
        "Invalid --objective with redundant slots: load,hops, one of load, hops, crossings, fanout",
        "--redundant",
        "4",
        "--objective",
        "load,hops");
    check(
        1,
        "Cannot export llama-cpp: it has every expert once, and here are 12 slots for 8 experts",
        "--redundant",
        "4",
        "--export",
        "llama-cpp");
    assertThat(filesOf(folder)).containsExactly("affinity", "trace.npy");
  }

  private void check(int code, String message, String... more) {
    String[] cluster = {"--nodes", "1", "--gpus-per-node", "4"};
    assertThat(
            place(
                "refused",
                Stream.concat(Stream.of(cluster), Stream.of(more)).toArray(String[]::new)))
        .isEqualTo(code);
    assertThat(err.toString()).contains(message);
  }
}
