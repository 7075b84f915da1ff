package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class EplbTest {
  private static final long[][] PUBLISHED = {
    {90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86},
    {20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27}
  };

  @Test
  void thePublishedExampleComesOutExactly() {
    assertThat(new Eplb(16, 4, 2, 8).physicalToLogical(PUBLISHED))
        .isEqualTo(
            new int[][] {
              {5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1},
              {7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1}
            });
  }

  @ParameterizedTest
  @CsvSource({"4,2,0,1.208", "4,2,1,1.242", "1,1,0,1.073", "1,1,1,1.190"})
  void itsLoadsAreThoseMeasuredElsewhere(int groups, int nodes, int layer, double expected) {
    int[] expertOf = new Eplb(16, groups, nodes, 8).physicalToLogical(PUBLISHED[layer]);
    assertThat(maxOverMean(PUBLISHED[layer], expertOf, 8))
        .isBetween(expected - 5e-4, expected + 5e-4);
  }

  private static double maxOverMean(long[] load, int[] expertOf, int gpus) {
    double[] onGpu = new double[gpus];
    for (int slot = 0; slot < expertOf.length; slot++) {
      int expert = expertOf[slot];
      long copies = Arrays.stream(expertOf).filter(e -> e == expert).count();
      onGpu[slot / (expertOf.length / gpus)] += load[expert] / (double) copies;
    }

    return Arrays.stream(onGpu).max().orElseThrow() * gpus / Arrays.stream(load).sum();
  }

  @Test
  void answersEqualThoseOfTheTwinInFractions() throws IOException {
    JsonNode cases;
    try (InputStream in = EplbTest.class.getResourceAsStream("eplb-cases.json")) {
      cases = new ObjectMapper().readTree(in);
    }

    assertThat(cases).hasSize(120);
    for (JsonNode one : cases) {
      Eplb balancer =
          new Eplb(
              one.get("slots").intValue(),
              one.get("groups").intValue(),
              one.get("nodes").intValue(),
              one.get("gpus").intValue());
      long[] load = longs(one.get("load"));
      assertThat(balancer.physicalToLogical(load))
          .as(one.toString())
          .isEqualTo(
              Arrays.stream(longs(one.get("physical-to-logical")))
                  .mapToInt(Math::toIntExact)
                  .toArray());
    }
  }

  private static long[] longs(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).mapToLong(JsonNode::asLong).toArray();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everyExpertHasASlotAndNodesKeepTheirGroups(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int nodes = 1 + random.nextInt(3);
    int groups = nodes * (1 + random.nextInt(3));
    int size = 1 + random.nextInt(4);
    int perNode = 1 + random.nextInt(4);
    int gpus = nodes * perNode;
    int slots = gpus * ((groups * size + gpus - 1) / gpus + random.nextInt(3));
    long[] load = random.longs((long) groups * size, 0, 50).toArray();
    int[] expertOf = new Eplb(slots, groups, nodes, gpus).physicalToLogical(load);
    assertThat(expertOf).hasSize(slots);
    assertThat(Arrays.stream(expertOf).distinct().count()).isEqualTo(load.length);
    int[] nodeOfGroup = new int[groups];
    Arrays.fill(nodeOfGroup, -1);
    for (int slot = 0; slot < slots; slot++) {
      int group = expertOf[slot] / size;
      int node = slot / (slots / nodes);
      assertThat(nodeOfGroup[group]).isIn(-1, node);
      nodeOfGroup[group] = node;
    }
  }

  @Test
  void impossibleBalancersAreRefused() {
    assertThatThrownBy(() -> new Eplb(7, 1, 1, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid balancer: 7 slots on 2 GPUs of 1 nodes, expected the same number on each");
    assertThatThrownBy(() -> new Eplb(8, 0, 1, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid balancer: 8 slots, 0 groups, 1 nodes, 2 GPUs, each at least 1");
    assertThatThrownBy(() -> new Eplb(2, 1, 1, 2).physicalToLogical(new long[3]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid loads: 3 experts, 1 to 2, none with a negative load");
    assertThatThrownBy(() -> new Eplb(8, 2, 2, 2).physicalToLogical(new long[3]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid loads: 3 experts, expected a multiple of 2 groups");
  }

  @Test
  void theSolverPlacesWhatTheBalancerPacks() {
    PlacementProblem problem = Routes.problem(Routes.random(4, 12, 2, 500, 3), 2, 2);
    SolverOutcome flat = PlacementSolvers.find("eplb").solve(problem, SolverConfig.DEFAULT);
    assertThat(flat.note()).isEqualTo("one flat pass over the GPUs");
    check(problem, flat.placement().orElseThrow(), new Eplb(12, 1, 2, 4));
    SolverOutcome grouped = new EplbSolver().withGroups(4).solve(problem, SolverConfig.DEFAULT);
    assertThat(grouped.note()).isEqualTo("groups on nodes first: 4 groups");
    check(problem, grouped.placement().orElseThrow(), new Eplb(12, 4, 2, 4));
    for (int layer = 0; layer < 4; layer++) {
      for (int expert = 0; expert < 12; expert++) {
        Placement placement = grouped.placement().orElseThrow();
        assertThat(placement.gpu(layer, expert) / 2)
            .isEqualTo(placement.gpu(layer, expert / 3 * 3) / 2);
      }
    }
  }

  private static void check(PlacementProblem problem, Placement placement, Eplb balancer) {
    assertThat(problem.isMetBy(placement)).isTrue();
    for (int layer = 0; layer < placement.layers(); layer++) {
      long[] load = new long[placement.experts()];
      for (int expert = 0; expert < load.length; expert++) {
        load[expert] = problem.counts().popularity().choices(layer, expert);
      }

      int[] expertOf = balancer.physicalToLogical(load);
      for (int slot = 0; slot < expertOf.length; slot++) {
        assertThat(placement.gpu(layer, expertOf[slot])).isEqualTo(slot / 3);
      }
    }
  }

  @Test
  void whatNeedsReplicasIsRefused() {
    PlacementProblem problem =
        PlacementProblem.balanced(
            Routes.count(Routes.random(2, 8, 2, 50, 1)), new Topology(1, 3), Objective.HOPS);
    SolverOutcome outcome = new EplbSolver().solve(problem, SolverConfig.DEFAULT);
    assertThat(outcome.status()).isEqualTo(SolverStatus.UNSUPPORTED);
    assertThat(outcome.note())
        .isEqualTo(
            "equal slots for 8 experts on 3 GPUs need copies of experts. Maybe use --redundant 1");
  }
}
