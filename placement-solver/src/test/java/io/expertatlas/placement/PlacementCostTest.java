package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.placement.search.Starts;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class PlacementCostTest {
  private static PlacementCost costOfA(int nodes, int perNode, int[][] map) {
    Placement placement = new Placement(new Topology(nodes, perNode), map);
    return PlacementCost.replay(Routes.reader(Routes.CASE_A), placement);
  }

  @Test
  void goldenCaseOnTwoGpus() {
    PlacementCost best = costOfA(1, 2, new int[][] {{0, 1, 1, 0}, {1, 1, 0, 0}, {0, 0, 1, 1}});
    assertThat(best.hops()).isEqualTo(1);
    assertThat(best.hopsPerToken()).isEqualTo(0.25);
    assertThat(best.avgCost()).isCloseTo(0.24999999875, within(1e-12));
    assertThat(best.avgIntra()).isCloseTo(0.24999999875, within(1e-12));
    assertThat(best.avgInter()).isZero();
    assertThat(best.balanced()).isTrue();

    PlacementCost vanilla = costOfA(1, 2, new int[][] {{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}});
    assertThat(vanilla.hops()).isEqualTo(5);
    assertThat(vanilla.avgCost()).isCloseTo(1.24999999375, within(1e-12));
    assertThat(vanilla.avgIntra()).isCloseTo(1.24999999375, within(1e-12));
  }

  @Test
  void goldenCaseOnTwoNodesOfTwo() {
    PlacementCost best = costOfA(2, 2, new int[][] {{0, 2, 3, 1}, {3, 2, 0, 1}, {1, 0, 2, 3}});
    assertThat(best.hops()).isEqualTo(4);
    assertThat(best.intraNode()).isEqualTo(2);
    assertThat(best.interNode()).isEqualTo(1);
    assertThat(best.avgCost()).isCloseTo(0.999999995, within(1e-12));
    assertThat(best.avgIntra()).isCloseTo(0.4999999975, within(1e-12));
    assertThat(best.avgInter()).isCloseTo(0.124999999375, within(1e-12));

    int[][] blocks = {{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}};
    PlacementCost vanilla = costOfA(2, 2, blocks);
    assertThat(vanilla.hops()).isEqualTo(11);
    assertThat(vanilla.intraNode()).isEqualTo(1);
    assertThat(vanilla.interNode()).isEqualTo(5);
    assertThat(vanilla.avgCost()).isCloseTo(2.7499999862499998, within(1e-12));
    assertThat(vanilla.avgIntra()).isCloseTo(0.24999999875, within(1e-12));
    assertThat(vanilla.avgInter()).isCloseTo(0.624999996875, within(1e-12));

    assertThat(costOfA(1, 4, blocks).hops()).isEqualTo(6);
    PlacementCost oneGpuNodes = costOfA(4, 1, blocks);
    assertThat(oneGpuNodes.hops()).isEqualTo(12);
    assertThat(oneGpuNodes.avgIntra()).isZero();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void countsGiveWhatTheReplayGives(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 1 + random.nextInt(9);
    int topK = 1 + random.nextInt(experts);
    Topology topology = new Topology(1 + random.nextInt(3), 1 + random.nextInt(3));
    RoutingTrace trace =
        Routes.random(1 + random.nextInt(5), experts, topK, random.nextInt(60), seed);
    int[][] map = new int[trace.shape().layers()][experts];
    for (int[] layer : map) {
      for (int e = 0; e < experts; e++) {
        layer[e] = random.nextInt(topology.gpus());
      }
    }

    Placement placement = new Placement(topology, map);
    PlacementCost replay = PlacementCost.replay(Routes.reader(trace), placement);
    assertThat(PlacementCost.of(Routes.count(trace), placement)).isEqualTo(replay);
    PlacementProblem problem = Routes.problem(trace, topology.nodes(), topology.gpusPerNode());
    assertThat(Chain.of(problem).cost(map)).isEqualTo(replay.hops());
    assertThat(replay.hops()).isEqualTo(replay.crossings() + replay.interNode());
    assertThat(replay.balanced()).isEqualTo(placement.isBalanced());
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void renamingGpusInANodeOrNodesChangesNothing(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Routes.random(4, 6, 2, 40, seed);
    PlacementProblem problem = Routes.problem(trace, 2, 3);
    int[][] map = Starts.random(Chain.of(problem), random);
    int turn = random.nextInt(3);
    int[][] renamed = new int[4][6];
    for (int layer = 0; layer < 4; layer++) {
      for (int e = 0; e < 6; e++) {
        int node = map[layer][e] / 3;
        int place = (map[layer][e] + (node == 0 ? turn : 0)) % 3;
        renamed[layer][e] = (1 - node) * 3 + place;
      }
    }

    PlacementCost one = PlacementCost.of(problem.counts(), new Placement(problem.topology(), map));
    PlacementCost two =
        PlacementCost.of(problem.counts(), new Placement(problem.topology(), renamed));
    assertThat(two.hops()).isEqualTo(one.hops());
    assertThat(two.gpuTouches()).isEqualTo(one.gpuTouches());
    assertThat(two.nodeTouches()).isEqualTo(one.nodeTouches());
    assertThat(two.loadMeanMaxOverMean()).isCloseTo(one.loadMeanMaxOverMean(), within(1e-12));
    int[][] canonical = Starts.canonical(problem.topology(), renamed);
    assertThat(Chain.of(problem).cost(canonical)).isEqualTo(one.hops());
    assertThat(canonical[0][0]).isZero();
  }

  @Test
  void moreThan64GpusAreCounted() {
    int experts = 130;
    short[] choices = new short[experts];
    for (int e = 0; e < experts; e++) {
      choices[e] = (short) e;
    }

    RoutingTrace trace = RoutingTrace.ofExperts(new ModelShape(1, experts, experts), choices);
    PlacementProblem problem = Routes.problem(trace, 13, 10);
    PlacementCost cost =
        PlacementCost.replay(
            Routes.reader(trace), new Placement(problem.topology(), Starts.vanilla(problem)));
    assertThat(cost.gpusPerToken()).isEqualTo(130);
    assertThat(cost.nodesPerToken()).isEqualTo(13);
  }

  @Test
  void meansOfAnEmptyTraceAreZero() {
    RoutingTrace empty = Routes.CASE_A.slice(0, 0);
    PlacementCost cost =
        PlacementCost.replay(
            Routes.reader(empty),
            new Placement(
                new Topology(1, 2), new int[][] {{0, 0, 1, 1}, {0, 0, 1, 1}, {0, 1, 0, 1}}));
    assertThat(cost.hopsPerToken()).isZero();
    assertThat(cost.gpusPerToken()).isZero();
    assertThat(cost.loadMeanMaxOverMean()).isZero();
    assertThat(cost.avgCost()).isZero();
  }

  @Test
  void anotherShapeIsRefused() {
    Placement placement = new Placement(new Topology(1, 2), new int[][] {{0, 1}});
    assertThatThrownBy(() -> PlacementCost.replay(Routes.reader(Routes.CASE_A), placement))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid placement for this trace: 1 layers x 2 experts, the trace has 3 MoE layers x 4 experts, top-1");
  }
}
