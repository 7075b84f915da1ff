package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TopologyTest {
  @Test
  void equalClustersAreAsUsual() {
    Topology topology = new Topology(2, 3);
    assertThat(topology).hasToString("2x3").isEqualTo(Topology.ofNodes(3, 3));
    assertThat(topology.hashCode()).isEqualTo(Topology.ofNodes(3, 3).hashCode());
    assertThat(topology.isSymmetric()).isTrue();
    assertThat(topology.hasUsualCosts()).isTrue();
    assertThat(topology.hasSlots()).isFalse();
    assertThat(topology.hopCost(4, 4)).isZero();
    assertThat(topology.hopCost(0, 2)).isEqualTo(1);
    assertThat(topology.hopCost(2, 3)).isEqualTo(2);
    assertThat(topology.highestCost()).isEqualTo(2);
    assertThat(topology.lowestCost()).isEqualTo(1);
    assertThat(topology.flat()).isEqualTo(new Topology(1, 6));
    assertThatThrownBy(() -> topology.slots(0))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("The slots of 2x3 are not said");
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void nodesOfAnySizeNumberTheirGpusOneAfterTheOther(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[] gpus = random.ints(1 + random.nextInt(5), 1, 5).toArray();
    Topology topology = Topology.ofNodes(gpus);
    int gpu = 0;
    for (int node = 0; node < gpus.length; node++) {
      assertThat(topology.firstGpu(node)).isEqualTo(gpu);
      assertThat(topology.gpusOf(node)).isEqualTo(gpus[node]);
      for (int place = 0; place < gpus[node]; place++) {
        assertThat(topology.node(gpu++)).isEqualTo(node);
      }
    }

    assertThat(topology.gpus()).isEqualTo(gpu);
    assertThat(topology.nodes()).isEqualTo(gpus.length);
    boolean equal = java.util.Arrays.stream(gpus).allMatch(g -> g == gpus[0]);
    assertThat(topology.isSymmetric()).isEqualTo(equal);
    if (!equal) {
      assertThatThrownBy(topology::gpusPerNode).isInstanceOf(IllegalStateException.class);
    }
  }

  @Test
  void costsOfLinksReplaceTheUsualOnes() {
    Topology far = new Topology(2, 2).withHopCosts(1, 9);
    assertThat(far.hopCost(0, 1)).isEqualTo(1);
    assertThat(far.hopCost(0, 2)).isEqualTo(9);
    assertThat(far.isSymmetric()).isTrue();
    assertThat(far).isNotEqualTo(new Topology(2, 2));
    Topology ring =
        new Topology(1, 4)
            .withHopCosts(new int[][] {{0, 1, 2, 1}, {1, 0, 1, 2}, {2, 1, 0, 1}, {1, 2, 1, 0}});
    assertThat(ring.hopCost(0, 2)).isEqualTo(2);
    assertThat(ring.isSymmetric()).isFalse();
    assertThat(ring.hasCostMatrix()).isTrue();
    assertThat(ring.highestCost()).isEqualTo(2);
    assertThat(Topology.ofNodes(4, 2)).hasToString("4+2");
  }

  @Test
  void whatIsNoClusterIsRefused() {
    Topology topology = new Topology(1, 2);
    assertThatThrownBy(() -> Topology.ofNodes(2, 0))
        .hasMessage(
            "Invalid topology: nodes of [2, 0] GPUs, each at least 1 and at most 65536 in all");
    assertThatThrownBy(() -> topology.withHopCosts(3, 2))
        .hasMessage(
            "Invalid hop costs: 3 in a node and 2 across, each 1 to 1000000 and the second not less");
    assertThatThrownBy(() -> topology.withHopCosts(new int[][] {{0, 1}}))
        .hasMessage("Invalid hop costs: 1 rows, the topology 1x2 has 2 GPUs");
    assertThatThrownBy(() -> topology.withHopCosts(new int[][] {{0, 1}, {1}}))
        .hasMessage("Invalid hop costs: 1 in row 1, the topology 1x2 has 2 GPUs");
    assertThatThrownBy(() -> topology.withHopCosts(new int[][] {{1, 1}, {1, 0}}))
        .hasMessage("Invalid hop cost from GPU 0 to 0: 1, must be 0");
    assertThatThrownBy(() -> topology.withHopCosts(new int[][] {{0, 0}, {0, 0}}))
        .hasMessage("Invalid hop cost from GPU 0 to 1: 0, 1 to 1000000");
    assertThatThrownBy(() -> topology.withHopCosts(new int[][] {{0, 1}, {2, 0}}))
        .hasMessage("Invalid hop costs: 2 from GPU 1 to 0, but 1 back; they must be equal");
    assertThatThrownBy(() -> topology.withSlots(1))
        .hasMessage("Invalid slots: 1 numbers, the topology 1x2 has 2 GPUs");
    assertThatThrownBy(() -> topology.withSlots(1, -1))
        .hasMessage("Invalid slots of GPU 1: -1, at least 0");
  }

  @Test
  void slotsBoundExpertsAndNothingElseDoes() {
    Topology topology = new Topology(1, 3).withSlots(4, 2, 1);
    SlotBounds bounds = SlotBounds.of(6, topology);
    assertThat(bounds.most(0)).isEqualTo(4);
    assertThat(bounds.least(0)).isEqualTo(3); // 2 + 1 slots elsewhere
    assertThat(bounds.least(2)).isZero();
    assertThat(SlotBounds.of(8, topology).canHold(8)).isFalse();
    assertThat(SlotBounds.of(6, new Topology(1, 3))).isEqualTo(SlotBounds.balanced(6, 3));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void countsGiveWhatTheReplayGivesAtAnyCosts(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = Routes.cluster(random);
    var trace = Routes.random(1 + random.nextInt(4), 6, 2, random.nextInt(50), seed);
    int[][] map = new int[trace.shape().layers()][6];
    for (int[] layer : map) {
      java.util.Arrays.setAll(layer, e -> random.nextInt(topology.gpus()));
    }

    Placement placement = new Placement(topology, map);
    PlacementCost replay = PlacementCost.replay(Routes.reader(trace), placement);
    assertThat(PlacementCost.of(Routes.count(trace), placement)).isEqualTo(replay);
    PlacementProblem problem =
        PlacementProblem.balanced(Routes.count(trace), topology, Objective.HOPS);
    for (Objective objective : Objective.values()) {
      assertThat(
              io.expertatlas.placement.solver.Chain.of(problem.withObjective(objective)).cost(map))
          .as(objective.word())
          .isEqualTo(objective.total(replay));
    }
  }
}
