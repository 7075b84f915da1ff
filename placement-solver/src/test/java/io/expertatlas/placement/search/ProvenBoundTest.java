package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.affinity.ExpertSet;
import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ProvenBoundTest {
  private static final Duration LIMIT = Duration.ofSeconds(20);

  private static ProvenBound bound(PlacementProblem problem) {
    return ProvenBound.of(problem, Long.MAX_VALUE / 4, LIMIT, 1, () -> false, value -> {});
  }

  /** Placements at random, then swaps that lower the objective: no bound may be above any. */
  private static long reached(PlacementProblem problem, SplittableRandom random) {
    Chain chain = Chain.of(problem.withCaps(Caps.NONE));
    long best = Long.MAX_VALUE;
    for (int start = 0; start < 6; start++) {
      int[][] map = Starts.random(chain, random);
      for (int step = 0; step < 300; step++) {
        int layer = random.nextInt(map.length);
        int one = random.nextInt(map[layer].length);
        int other = random.nextInt(map[layer].length);
        long before = chain.cost(map);
        swap(map[layer], one, other);
        if (chain.cost(map) > before) {
          swap(map[layer], one, other);
        }

        if (problem.isMetBy(new Placement(problem.topology(), map))) {
          best = Math.min(best, chain.cost(map));
        }
      }
    }

    return best;
  }

  private static void swap(int[] layer, int one, int other) {
    int kept = layer[one];
    layer[one] = layer[other];
    layer[other] = kept;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.ProvenBoundTest#forty")
  void noPlacementIsBelowABound(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = new Topology(1 + random.nextInt(2), 1 + random.nextInt(3));
    if (random.nextBoolean()) {
      topology = topology.withHopCosts(2, 2 + random.nextInt(4));
    }

    int experts = topology.gpus() * (1 + random.nextInt(3));
    int layers = 1 + random.nextInt(3);
    PlacementProblem problem =
        PlacementProblem.balanced(
            Routes.count(
                Routes.random(layers, experts, 1 + random.nextInt(Math.min(4, experts)), 80, seed)),
            topology,
            Objective.values()[random.nextInt(Objective.values().length)]);
    if (random.nextBoolean()) {
      long[] caps = new long[layers];
      Chain chain = Chain.of(problem);
      Arrays.setAll(caps, layer -> (long) (1.2 * LayerBound.hottest(chain, layer)));
      problem = problem.withCaps(Caps.NONE.withLoad(caps));
    }

    ProvenBound bound = bound(problem);
    assertThat(bound.value()).isLessThanOrEqualTo(reached(problem, random));
    assertThat(bound.value()).isGreaterThanOrEqualTo(GapBound.of(Chain.of(problem)));
  }

  static java.util.stream.Stream<Long> forty() {
    return io.expertatlas.trace.Cases.seeded(40);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.ProvenBoundTest#forty")
  void theRelaxationIsTighterThanSingleGapsAndBelowTheOptimum(long seed) {
    PlacementProblem problem = Routes.problem(Routes.random(4, 8, 1, 400, seed), 1, 2);
    long optimum =
        Chain.of(problem)
            .cost(Viterbi.of(Chain.of(problem), () -> false).orElseThrow().solve().orElseThrow());
    List<Long> seen = new ArrayList<>();
    ProvenBound bound = ProvenBound.of(problem, optimum, LIMIT, 2, () -> false, seen::add);
    long simple = GapBound.of(Chain.of(problem));
    assertThat(bound.value()).isBetween(simple, optimum);
    assertThat(seen).isSorted();
    if (simple < optimum) {
      assertThat(bound.method()).isEqualTo("semidefinite relaxation");
      assertThat(optimum - bound.value()).isLessThan((optimum - simple) / 2);
    }
  }

  @Test
  void withoutTimeItIsWhatIsThereAtOnce() {
    PlacementProblem problem = Routes.problem(Routes.random(4, 8, 1, 400, 1), 1, 2);
    ProvenBound bound =
        ProvenBound.of(problem, 1_000_000, Duration.ZERO, 1, () -> false, value -> {});
    assertThat(bound.value()).isEqualTo(GapBound.of(Chain.of(problem)));
    assertThat(bound.method()).isEqualTo("single gaps");
    assertThat(ProvenBound.of(problem, 3, LIMIT, 1, () -> false, value -> {}).value()).isEqualTo(3);
    assertThat(bound(problem.withObjective(Objective.LOAD)).method()).isEqualTo("each layer");
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.placement.search.ProvenBoundTest#forty")
  void unequalClustersHaveABoundToo(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = Routes.cluster(random);
    int[] slots = new int[topology.gpus()];
    Arrays.setAll(slots, gpu -> 1 + random.nextInt(3));
    int experts = 1 + random.nextInt(Arrays.stream(slots).sum());
    PlacementProblem problem =
        PlacementProblem.balanced(
            Routes.count(Routes.random(3, experts, 1, 60, seed)),
            random.nextBoolean() ? topology.withSlots(slots) : topology,
            random.nextBoolean() ? Objective.HOPS : Objective.FANOUT);
    assertThat(bound(problem).value()).isLessThanOrEqualTo(reached(problem, random));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void linesAreNeverAboveTheGroupsThatASetTouches(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int size = 1 + random.nextInt(6);
    int room = 1 + random.nextInt(6);
    double[] corners = FanoutLines.corners(size, room);
    assertThat(corners[0]).isZero();
    assertThat(corners[1]).isEqualTo(size);
    for (int draw = 0; draw < 30; draw++) {
      int[] group = random.ints(size, 0, size).toArray();
      int[] held = new int[size];
      for (int g : group) {
        held[g]++;
      }

      long touched = Arrays.stream(group).distinct().count();
      double pairs = Arrays.stream(held).mapToDouble(h -> h * (h - 1) / 2.0).sum();
      if (Arrays.stream(held).max().getAsInt() <= room) {
        assertThat(line(corners, pairs)).isLessThanOrEqualTo(touched + 1e-12);
      }
    }
  }

  /** The largest of the pieces of the hull. */
  private static double line(double[] corners, double pairs) {
    double most = corners[corners.length - 1];
    for (int at = 0; at + 2 < corners.length; at += 2) {
      double slope = (corners[at + 3] - corners[at + 1]) / (corners[at + 2] - corners[at]);
      most = Math.max(most, corners[at + 1] + slope * (pairs - corners[at]));
    }

    return most;
  }

  @Test
  void fourExpertsInEightSlotsHaveTwoPieces() {
    assertThat(FanoutLines.corners(4, 8)).containsExactly(0, 4, 2, 2, 6, 1);
    assertThat(FanoutLines.corners(4, 1)).containsExactly(0, 4);
    assertThat(FanoutLines.corners(1, 4)).containsExactly(0, 1);
    assertThat(FanoutLines.corners(3, 2)).containsExactly(0, 3, 1, 2);
  }

  @Test
  void aSetThatFitsIsProvenToTouchOneGpu() {
    // two sets of two experts that tokens always choose together
    PlacementProblem problem =
        PlacementProblem.balanced(
            Routes.count(
                io.expertatlas.trace.RoutingTrace.ofExperts(
                    new io.expertatlas.trace.ModelShape(1, 4, 2),
                    new short[] {0, 1, 2, 3, 1, 0, 3, 2})),
            new Topology(1, 2),
            Objective.FANOUT);
    List<ExpertSet> sets = problem.counts().expertSets().get(0);
    assertThat(sets).hasSize(2);
    ProvenBound bound = ProvenBound.of(problem, 4, LIMIT, 1, () -> false, value -> {});
    assertThat(bound.value()).isEqualTo(4);
    assertThat(
            PlacementCost.of(
                    problem.counts(), new Placement(problem.topology(), new int[][] {{0, 0, 1, 1}}))
                .gpusPerToken())
        .isCloseTo(1, within(1e-12));
  }
}
