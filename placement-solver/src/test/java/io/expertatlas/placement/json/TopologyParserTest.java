package io.expertatlas.placement.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class TopologyParserTest {
  private static Topology parse(String fields) {
    return TopologyParser.fromJson("{\"format-version\": 1, " + fields + "}", "t.json");
  }

  @Test
  void equalNodesNeedTwoNumbers() {
    assertThat(parse("\"nodes\": 2, \"gpus-per-node\": 4")).isEqualTo(new Topology(2, 4));
    assertThat(TopologyParser.toJson(new Topology(2, 4)))
        .isEqualToIgnoringWhitespace("{\"format-version\": 1, \"nodes\": 2, \"gpus-per-node\": 4}");
  }

  @Test
  void slotsAreOneNumberOrOneForEachGpu() {
    assertThat(parse("\"gpus-of-node\": [2, 1], \"slots\": 8"))
        .isEqualTo(Topology.ofNodes(2, 1).withSlots(8, 8, 8));
    assertThat(parse("\"nodes\": 2, \"gpus-of-node\": [2, 1], \"slots\": [8, 8, 4]"))
        .isEqualTo(Topology.ofNodes(2, 1).withSlots(8, 8, 4));
  }

  @Test
  void bandwidthsBecomeCostsWithTheFastestLinkAtOne() {
    assertThat(
            parse(
                "\"nodes\": 2, \"gpus-per-node\": 2, \"bandwidths\": {\"in-node\": 450,"
                    + " \"across-nodes\": 50}"))
        .isEqualTo(new Topology(2, 2).withHopCosts(1, 9));
    assertThat(
            parse(
                "\"nodes\": 1, \"gpus-per-node\": 3, \"bandwidths\": [[0, 300, 100], [300, null,"
                    + " 120.5], [100, 120.5, 0]]"))
        .isEqualTo(new Topology(1, 3).withHopCosts(new int[][] {{0, 1, 3}, {1, 0, 2}, {3, 2, 0}}));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everythingComesBack(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = Routes.cluster(random);
    int[] slots = new int[topology.gpus()];
    Arrays.setAll(slots, gpu -> random.nextInt(9));
    for (Topology one : new Topology[] {topology, topology.withSlots(slots)}) {
      assertThat(TopologyParser.fromJson(TopologyParser.toJson(one), "x")).isEqualTo(one);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"nodes\": 2|gpus-per-node is missing",
        "\"nodes\": 2, \"gpus-per-node\": 70000|gpus-per-node is 70000, expected 0 to 65536",
        "\"nodes\": 0, \"gpus-per-node\": 1|Invalid topology: 0 nodes x 1 GPUs, each at least 1 and at most 65536 in all",
        "\"nodes\": 3, \"gpus-of-node\": [1, 2]|gpus-of-node has 2 entries, nodes is 3",
        "\"gpus-per-node\": 3, \"gpus-of-node\": [1, 2]|gpus-of-node and gpus-per-node exclude each other",
        "\"gpus-of-node\": [1, -2]|gpus-of-node[1] is -2, expected a whole number, 0 to 65536",
        "\"gpus-of-node\": [1, 2], \"slots\": [1, 2]|Invalid slots: 2 numbers, the topology 1+2 has 3 GPUs",
        "\"gpus-of-node\": [1], \"slots\": \"8\"|slots is \"8\", expected a whole number",
        "\"gpus-of-node\": [1], \"racks\": 1|racks is no key of a topology, which has format-version, nodes, gpus-per-node, gpus-of-node, slots, hop-costs, bandwidths",
        "\"gpus-of-node\": [2], \"hop-costs\": 3|hop-costs is 3, expected an object or an array of rows",
        "\"gpus-of-node\": [2], \"hop-costs\": [[0, 1], 1]|hop-costs[1] is 1, expected a row",
        "\"gpus-of-node\": [2], \"hop-costs\": [[0, 1], [2, 0]]|Invalid hop costs: 2 from GPU 1 to 0, but 1 back; they must be equal",
        "\"gpus-of-node\": [2], \"hop-costs\": {\"in-node\": 1}|across-nodes is missing",
        "\"gpus-of-node\": [2], \"hop-costs\": [[0, 1], [1, 0]], \"bandwidths\": 1|hop-costs and bandwidths exclude each other",
        "\"gpus-of-node\": [2], \"bandwidths\": [[0, 1]]|bandwidths[0] has 2 entries, expected 1, one for each row",
        "\"gpus-of-node\": [2], \"bandwidths\": {\"in-node\": 0, \"across-nodes\": 1}|in-node is 0, expected a number above 0",
        "\"gpus-of-node\": [2], \"bandwidths\": {\"in-node\": 1e9, \"across-nodes\": 1}|across-nodes is 1.0, the fastest link is 1.0E9: over 1000000 times as fast"
      })
  void whatIsWrongIsNamed(String fields, String message) {
    assertThatThrownBy(() -> parse(fields))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage("Cannot read t.json: " + message);
  }

  @Test
  void whatIsNoJsonIsNamed(@TempDir Path folder) throws IOException {
    assertThatThrownBy(() -> TopologyParser.fromJson("[]", "t.json"))
        .hasMessage("Cannot read t.json: not a JSON object");
    assertThatThrownBy(() -> TopologyParser.fromJson("{\"a\": }", "t.json"))
        .hasMessage("Cannot read t.json: not JSON at line 1, column 7");
    assertThatThrownBy(() -> TopologyParser.fromJson("{\"nodes\": 1, \"nodes\": 2}", "t.json"))
        .hasMessageStartingWith("Cannot read t.json: a key stands twice at line 1");
    assertThatThrownBy(
            () -> TopologyParser.fromJson("{\"format-version\": 2, \"nodes\": 1}", "t.json"))
        .hasMessage("Cannot read t.json: format-version is 2, expected 1");
    Path file = Files.write(folder.resolve("t.json"), new byte[] {'{', (byte) 0xff, '}'});
    assertThatThrownBy(() -> TopologyParser.read(file))
        .hasMessage("Cannot read " + file + ": not UTF-8");
  }
}
