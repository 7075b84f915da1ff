package io.expertatlas.placement.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.json.FrontParser;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.placement.solver.Front;
import io.expertatlas.placement.solver.Front.Point;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class AimCommandsTest {
  private static final RouteCounts COUNTS = Routes.count(Routes.random(5, 8, 2, 300, 3));

  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private String affinity;

  @BeforeEach
  void writeInputs() {
    affinity = folder.resolve("affinity").toString();
    AffinityFiles.write(COUNTS, Path.of(affinity));
  }

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line =
        new CommandLine(new Main()).setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Terminal.execute(line, arguments);
  }

  private int place(String output, String... more) {
    Stream<String> first =
        Stream.of("place", "--affinity", affinity, "--output", folder.resolve(output).toString());
    return run(Stream.concat(first, Stream.of(more)).toArray(String[]::new));
  }

  private int placeOnFour(String output, String... more) {
    Stream<String> first =
        Stream.of("--nodes", "1", "--gpus-per-node", "4", "--time-limit", "2s", "--json");
    return place(output, Stream.concat(first, Stream.of(more)).toArray(String[]::new));
  }

  private JsonNode json() throws IOException {
    return new ObjectMapper().readTree(out.toString());
  }

  private Placement placed(String output) throws IOException {
    return PlacementParser.read(folder.resolve(output).resolve("placement.json")).placement();
  }

  private String topology(String fields) throws IOException {
    return Files.writeString(
            folder.resolve("topology.json"), "{\"format-version\": 1, " + fields + "}")
        .toString();
  }

  @Test
  void unequalClustersArePlacedAndComeBack() throws IOException {
    String file =
        topology(
            "\"gpus-of-node\": [2, 1], \"slots\": [3, 3, 2], \"bandwidths\": {\"in-node\": 90,"
                + " \"across-nodes\": 30}");
    assertThat(place("plan", "--topology", file, "--time-limit", "3s", "--json"))
        .as(err.toString())
        .isZero();
    assertThat(json().get("gpus-of-node").toString()).isEqualTo("[2,1]");
    assertThat(json().has("avg_intra")).isFalse();
    Topology topology = Topology.ofNodes(2, 1).withSlots(3, 3, 2).withHopCosts(1, 3);
    Placement plan = placed("plan");
    assertThat(plan.topology()).isEqualTo(topology);
    assertThat(plan.held(0)).containsExactly(3, 3, 2);
    assertThat(json().get("total-hops").asLong()).isEqualTo(PlacementCost.of(COUNTS, plan).hops());
    assertThat(json().get("status").asText()).isEqualTo("optimal");
    assertThat(place("two", "--topology", file, "--export", "sglang")).isEqualTo(1);
    assertThat(err.toString()).contains("atlas: Cannot export sglang: ");
    assertThat(folder.resolve("two")).doesNotExist();
  }

  @Test
  void clustersAreNamedInOneWay() throws IOException {
    String file = topology("\"nodes\": 1, \"gpus-per-node\": 2");
    assertThat(place("plan", "--topology", file, "--nodes", "1")).isEqualTo(2);
    assertThat(err.toString())
        .contains("Invalid cluster: --topology " + file + " and --nodes exclude each other");
    assertThat(
            place(
                "plan", "--topology", topology("\"gpus-of-node\": [3, 1]"), "--csv-name", "exflow"))
        .isEqualTo(2);
    assertThat(err.toString()).contains("has no name for the unequal nodes of 3+1");
    assertThat(place("plan", "--topology", topology("\"nodes\": 1"))).isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines("atlas: Cannot read " + file + ": gpus-per-node is missing");
    assertThat(place("plan", "--topology", "nowhere.json")).isEqualTo(1);
    assertThat(err.toString()).contains("nowhere.json: no such file or folder");
  }

  @Test
  void capsAreMetAndReported() throws IOException {
    assertThat(placeOnFour("plan", "--max-load", "1.1", "--hidden-size", "64"))
        .as(err.toString())
        .isZero();
    JsonNode load = json().get("caps").get("load");
    PlacementCost cost = PlacementCost.of(COUNTS, placed("plan"));
    for (int layer = 0; layer < 5; layer++) {
      assertThat(load.get("met").get(layer).asLong()).isEqualTo(cost.loads().hottest(layer));
      assertThat(load.get("met").get(layer).asLong())
          .isLessThanOrEqualTo(load.get("most").get(layer).asLong());
    }

    assertThat(err.toString())
        .contains(
            "Cap on load: met in all 5 layers; closest in layer ",
            "Bytes sent for a token through all layers, home parallelism, 64 numbers of 2 bytes:");
    assertThat(json().get("bytes").get("bytes-per-token").asDouble())
        .isEqualTo(1.5 * 128 * cost.gpuTouches() / 300);
    assertThat(json().get("total-bound").asLong())
        .isBetween(1L, json().get("total-objective").asLong());
  }

  @Test
  void objectivesAreMinimisedInTurn() throws IOException {
    assertThat(placeOnFour("fan", "--objective", "fanout")).as(err.toString()).isZero();
    long fanout = json().get("total-gpu-touches").asLong();
    assertThat(placeOnFour("plan", "--objective", "fanout,hops")).as(err.toString()).isZero();
    assertThat(json().get("total-gpu-touches").asLong()).isLessThanOrEqualTo(fanout);
    assertThat(json().get("objective").asText()).isEqualTo("hops");
    assertThat(json().get("note").asText()).startsWith("after fanout " + fanout + " (bound ");
    assertThat(json().get("caps").get("fanout").get("met").asLong()).isEqualTo(fanout);
    assertThat(err.toString()).contains("Cap on fanout: met, " + fanout + " of " + fanout);
    long hops = json().get("total-hops").asLong();
    PlacementCost blind = PlacementCost.of(COUNTS, placed("fan"));
    assertThat(hops).isLessThanOrEqualTo(blind.hops());
  }

  @Test
  void bytesNeedTheSizeOfAState() {
    assertThat(placeOnFour("plan", "--objective", "bytes")).isEqualTo(2);
    assertThat(err.toString()).contains("Missing required option: '--hidden-size=N'");
    assertThat(
            placeOnFour(
                "plan", "--objective", "bytes", "--hidden-size", "8", "--parallelism", "COHERENT"))
        .as(err.toString())
        .isZero();
    assertThat(err.toString()).contains("copies ", "coherent parallelism, 8 numbers of 2 bytes");
  }

  @Test
  void badAimsAreUsageErrors() {
    for (List<String> bad :
        List.of(
            List.of("--objective", "joy", "Invalid objective: joy, one of hops"),
            List.of("--objective", "hops,hops", "Invalid objectives: hops, hops, each once"),
            List.of("--slack", "-1", "Invalid slack: -1.0, at least 0"),
            List.of("--max-load", "0.5", "Invalid cap on load, as a multiple"),
            List.of("--dtype", "int3", "Invalid dtype: int3, one of fp32, bf16, fp16, fp8"),
            List.of("--bound-limit", "0s", "Invalid duration: 0s"),
            List.of("--pareto-caps", "1.2,0.9", "Invalid cap of a front: 0.9"),
            List.of("--parallelism", "sideways", "Invalid value for option '--parallelism'"))) {
      assertThat(placeOnFour("plan", bad.get(0), bad.get(1))).as(bad.toString()).isEqualTo(2);
      assertThat(err.toString()).contains(bad.get(2));
    }

    assertThat(placeOnFour("plan", "--pareto", "--pareto-caps", "1.2,1.1")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid --pareto-caps: 1.1 after 1.2, they must ascend");
    assertThat(placeOnFour("plan", "--pareto", "--max-load", "1.1")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid --pareto: it takes two different --objective");
    assertThat(placeOnFour("plan", "--max-load-over-mean", "1.0000001")).isEqualTo(1);
    assertThat(err.toString())
        .contains("atlas: Cannot place with auto: infeasible, layer ")
        .contains("no placement has fewer than");
    assertThat(folder.resolve("plan")).doesNotExist();
  }

  @Test
  void aFrontHasAPlacementForEveryPoint() throws IOException {
    assertThat(placeOnFour("front", "--pareto", "--pareto-caps", "1.05,1.3,none"))
        .as(err.toString())
        .isZero();
    Path file = folder.resolve("front/front.json");
    Front front = FrontParser.read(file);
    assertThat(json().get("points")).hasSize(front.points().size());
    assertThat(front.points()).isNotEmpty();
    for (Point point : front.points()) {
      Placement placement =
          PlacementParser.read(folder.resolve("front").resolve(point.file())).placement();
      PlacementCost cost = PlacementCost.of(COUNTS, placement);
      assertThat(point.costs().hops()).isEqualTo(cost.hopsPerToken());
      assertThat(point.costs().load()).isEqualTo(cost.loadMeanMaxOverMean());
      assertThat(point.bound()).isLessThanOrEqualTo(point.costs().hops());
    }

    Path page = folder.resolve("fronts.html");
    assertThat(
            run(
                "fronts",
                "--front",
                "one=" + file.getParent(),
                "two=" + file,
                "--report",
                "" + page))
        .as(err.toString())
        .isZero();
    assertThat(Files.readString(page)).contains("\"two, bound\"");
    assertThat(placeOnFour("front", "--pareto")).isEqualTo(1);
    assertThat(err.toString()).contains("it exists already");
    assertThat(placeOnFour("front", "--pareto", "--pareto-caps", "none", "--overwrite"))
        .as(err.toString())
        .isZero();
    assertThat(FrontParser.read(file).points()).hasSize(1);
  }

  @Test
  void relabellingLowersHopsAndNothingElse() throws IOException {
    assertThat(placeOnFour("plan", "--solver", "greedy-load")).as(err.toString()).isZero();
    assertThat(err.toString()).contains("Other names of its GPUs would give this placement ");
    JsonNode before = json();
    assertThat(
            run(
                "relabel",
                "--placement",
                folder.resolve("plan").toString(),
                "--affinity",
                affinity,
                "--export",
                "sglang",
                "--output",
                folder.resolve("better").toString(),
                "--json"))
        .as(err.toString())
        .isZero();
    JsonNode after = json();
    assertThat(after.get("total-hops").asLong()).isLessThan(before.get("total-hops").asLong());
    assertThat(after.get("before").get("total-hops")).isEqualTo(before.get("total-hops"));
    for (String same : List.of("total-gpu-touches", "total-node-touches", "load-max-over-mean")) {
      assertThat(after.get(same)).isEqualTo(before.get(same));
    }

    assertThat(folder.resolve("better/sglang.json")).exists();
    assertThat(PlacementCost.of(COUNTS, placed("better")).hops())
        .isEqualTo(after.get("total-hops").asLong());
    Path copies =
        Files.writeString(
            folder.resolve("copies.json"),
            "[[0,1,2,3,4,5,6,7,0,1,2,3],[0,1,2,3,4,5,6,7,0,1,2,3],[0,1,2,3,4,5,6,7,0,1,2,3],"
                + "[0,1,2,3,4,5,6,7,0,1,2,3],[0,1,2,3,4,5,6,7,0,1,2,3]]");
    assertThat(
            run(
                "relabel",
                "--placement",
                copies.toString(),
                "--nodes",
                "1",
                "--gpus-per-node",
                "4",
                "--affinity",
                affinity,
                "--output",
                folder.resolve("none").toString()))
        .isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines(
            "atlas: Cannot relabel " + copies + ": experts have several copies");
  }
}
