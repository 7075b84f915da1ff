package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class CopiesCostTest {
  private static final Topology TWO_BY_TWO = new Topology(2, 2);

  private static PlacementCost replay(RoutingTrace trace, Placement placement) {
    return PlacementCost.replay(Routes.reader(trace), placement);
  }

  @Test
  void aTokenGoesToTheNearestCopy() {
    // Expert 1 of layer 1 on GPUs 1 and 2, of layer 2 on GPU 3 alone.
    Placement placement =
        Placement.ofCopies(TWO_BY_TWO, new int[][][] {{{0}, {2}}, {{3}, {2, 1}}, {{0}, {3}}});
    PlacementCost near = replay(Routes.trace(2, new int[][] {{0, 1, 1}}), placement);
    assertThat(near.hops()).isEqualTo(1 + 2); // 0 to 1 in the node, 1 to 3 across
    assertThat(near.crossings()).isEqualTo(2);
    assertThat(near.interNode()).isEqualTo(1);
    PlacementCost same = replay(Routes.trace(2, new int[][] {{1, 1, 1}}), placement);
    assertThat(same.hops()).isEqualTo(0 + 1); // stays on 2, then 3
    assertThat(same.estimated()).isFalse();
  }

  @Test
  void equallyNearCopiesTakeTurns() {
    // From GPU 0 both copies of layer 1 are across; layer 2 tells them apart.
    Placement placement = Placement.ofCopies(TWO_BY_TWO, new int[][][] {{{0}}, {{2, 3}}, {{2}}});
    int[][] choices = new int[5][3];
    PlacementCost cost = replay(Routes.trace(1, choices), placement);
    assertThat(cost.hops()).isEqualTo(5 * 2 + 2); // GPUs 2, 3, 2, 3, 2
    assertThat(PlacementCost.of(Routes.count(Routes.trace(1, choices)), placement).hops())
        .isEqualTo(Math.round(5 * 2 + 2.5));
  }

  @Test
  void layerZeroDealsItsCopiesInTurn() {
    Placement placement =
        Placement.ofCopies(new Topology(1, 3), new int[][][] {{{0, 1, 2}}, {{1}}});
    assertThat(replay(Routes.trace(1, new int[7][2]), placement).hops()).isEqualTo(5);
  }

  @Test
  void copiesShareTheLoadExactly() {
    // 7 choices of expert 0 on GPUs 0, 0, 1; 3 of expert 1 on GPUs 1, 2.
    Placement placement =
        Placement.ofCopies(new Topology(1, 3), new int[][][] {{{0, 1, 0}, {1, 2}}});
    int[][] choices = {{0}, {1}, {0}, {0}, {1}, {0}, {0}, {1}, {0}, {0}};
    Loads loads = replay(Routes.trace(2, choices), placement).loads();
    assertThat(loads.exactChoices(0, 0)).isEqualTo(14 / 3.0);
    assertThat(loads.exactChoices(0, 1)).isEqualTo(23 / 6.0);
    assertThat(loads.exactChoices(0, 2)).isEqualTo(1.5);
    assertThat(loads.choices(0, 0)).isEqualTo(5);
    assertThat(loads.hottest(0)).isEqualTo(5);
    assertThat(loads.maxOverMean(0)).isCloseTo(14 / 10.0, within(1e-12));
    assertThat(loads)
        .isEqualTo(PlacementCost.of(Routes.count(Routes.trace(2, choices)), placement).loads());
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void countsGiveTouchesAndLoadsOfTheReplay(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = new Topology(1 + random.nextInt(3), 1 + random.nextInt(3));
    int experts = 1 + random.nextInt(9);
    int topK = 1 + random.nextInt(experts);
    RoutingTrace trace =
        Routes.random(1 + random.nextInt(5), experts, topK, random.nextInt(60), seed);
    int perGpu = (experts + topology.gpus() - 1) / topology.gpus() + random.nextInt(3);
    Placement placement = Copies.random(topology, trace.shape().layers(), experts, perGpu, random);
    PlacementCost replay = replay(trace, placement);
    PlacementCost counted = PlacementCost.of(Routes.count(trace), placement);
    assertThat(counted.gpuTouches()).isEqualTo(replay.gpuTouches());
    assertThat(counted.nodeTouches()).isEqualTo(replay.nodeTouches());
    assertThat(counted.loads()).isEqualTo(replay.loads());
    assertThat(counted.balanced()).isTrue();
    assertThat(replay.estimated()).isFalse();
    if (!counted.estimated()) {
      assertThat(counted).isEqualTo(replay);
    }

    assertThat(replay.hops()).isBetween(pairs(trace, placement, 1), pairs(trace, placement, -1));
    assertThat(counted.hops()).isBetween(pairs(trace, placement, 1), pairs(trace, placement, -1));
  }

  /** Hops if in every gap the two nearest copies (sign 1) or the two farthest (-1) were used. */
  private static long pairs(RoutingTrace trace, Placement placement, int sign) {
    long sum = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      for (int layer = 1; layer < placement.layers(); layer++) {
        int best = Integer.MAX_VALUE;
        for (int from : placement.toCopies()[layer - 1][trace.expert(token, layer - 1, 0)]) {
          for (int to : placement.toCopies()[layer][trace.expert(token, layer, 0)]) {
            best = Math.min(best, sign * placement.topology().hopCost(from, to));
          }
        }

        sum += sign * best;
      }
    }

    return sum;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void copiesInTheLastLayerAloneLeaveNothingToEstimate(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    Topology topology = new Topology(1 + random.nextInt(3), 1 + random.nextInt(3));
    RoutingTrace trace = Routes.random(3, 6, 2, 50, seed);
    int[][][] copies = new int[3][6][];
    for (int layer = 0; layer < 3; layer++) {
      for (int expert = 0; expert < 6; expert++) {
        copies[layer][expert] =
            random.ints(layer < 2 ? 1 : 1 + random.nextInt(4), 0, topology.gpus()).toArray();
      }
    }

    Placement placement = Placement.ofCopies(topology, copies);
    assertThat(PlacementCost.of(Routes.count(trace), placement))
        .isEqualTo(replay(trace, placement));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void oneCopyOfEachIsTheSameWhicheverWayItIsSaid(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Routes.random(3, 6, 2, 50, seed);
    Placement placement = Copies.random(TWO_BY_TWO, 3, 8, 2, random);
    assertThat(placement.hasCopies()).isFalse();
    assertThat(placement).isEqualTo(new Placement(TWO_BY_TWO, placement.toArray()));
    assertThat(Placement.ofCopies(TWO_BY_TWO, placement.toCopies())).isEqualTo(placement);
    Placement fewer = Copies.random(new Topology(3, 2), 3, 6, 1, random);
    TokenFlow flow = TokenFlow.of(Routes.count(trace).transitions(), fewer);
    PlacementCost cost = replay(trace, fewer);
    assertThat(flow.isExact()).isTrue();
    assertThat(flow.hops()).isEqualTo(cost.hops());
    assertThat(flow.crossings()).isEqualTo(cost.crossings());
    assertThat(flow.interNode()).isEqualTo(cost.interNode());
  }

  @Test
  void theEstimateIsCloseWhereTheNextExpertDependsOnThePresentOneAlone() {
    SplittableRandom random = new SplittableRandom(5);
    int[][] next = random.ints(6 * 3, 0, 6).mapToObj(e -> new int[] {e}).toArray(int[][]::new);
    int[][] choices = new int[20_000][6];
    for (int[] token : choices) {
      token[0] = random.nextInt(6);
      for (int layer = 1; layer < 6; layer++) {
        token[layer] = next[token[layer - 1] * 3 + random.nextInt(3)][0];
      }
    }

    RoutingTrace trace = Routes.trace(6, choices);
    for (int i = 0; i < 5; i++) {
      Placement placement = Copies.random(TWO_BY_TWO, 6, 6, 3, random);
      PlacementCost counted = PlacementCost.of(Routes.count(trace), placement);
      assertThat(counted.estimated()).isTrue();
      assertThat(counted.hopsPerToken())
          .isCloseTo(replay(trace, placement).hopsPerToken(), within(0.02));
    }
  }

  @Test
  void expertsEverywhereCostNothing() {
    RoutingTrace trace = Routes.random(4, 3, 2, 40, 1);
    int[][] slots = new int[4][];
    Arrays.fill(slots, new int[] {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2});
    PlacementCost cost = replay(trace, Placement.ofSlots(TWO_BY_TWO, 3, slots));
    assertThat(cost.hops()).isZero();
    assertThat(cost.gpusPerToken()).isEqualTo(1);
    assertThat(cost.nodesPerToken()).isEqualTo(1);
    assertThat(cost.loadWorstMaxOverMean()).isEqualTo(1);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void theFewestPlacesAreThoseOfTryingAll(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int places = 1 + random.nextInt(12);
    FewestPlaces fewest = new FewestPlaces(places);
    for (int i = 0; i < 20; i++) {
      int[][] sets = new int[1 + random.nextInt(7)][];
      for (int e = 0; e < sets.length; e++) {
        sets[e] = random.ints(1 + random.nextInt(4), 0, places).distinct().toArray();
      }

      int size = 1 + random.nextInt(sets.length);
      assertThat(fewest.of(sets, size)).isEqualTo(tryAll(sets, size, 0, new HashSet<>()));
    }
  }

  private static int tryAll(int[][] sets, int size, int at, Set<Integer> used) {
    if (at == size) {
      return used.size();
    }

    int best = Integer.MAX_VALUE;
    for (int place : sets[at]) {
      Set<Integer> more = new HashSet<>(used);
      more.add(place);
      best = Math.min(best, tryAll(sets, size, at + 1, more));
    }

    return best;
  }

  @Test
  void sixtyFourExpertsWithCopiesAreTheMost() {
    int[][] sets = new int[64][];
    Arrays.setAll(sets, e -> new int[] {e, (e + 1) % 64});
    assertThat(new FewestPlaces(64).of(sets, 64)).isEqualTo(32);
    int[][][] copies = new int[1][65][];
    Arrays.fill(copies[0], new int[] {0, 1});
    Placement placement = Placement.ofCopies(TWO_BY_TWO, copies);
    assertThatThrownBy(() -> new Replay(new ModelShape(1, 65, 65), placement))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid placement for this trace: copies of experts with top-65, at most top-64");
  }

  @Test
  void slotsAreToldByGpuAndOrderInAGpuDoesNotMatter() {
    Placement placement =
        Placement.ofSlots(new Topology(1, 2), 3, new int[][] {{2, 0, 1, 0}, {0, 1, 2, 2}});
    assertThat(placement)
        .isEqualTo(
            Placement.ofSlots(new Topology(1, 2), 3, new int[][] {{0, 2, 0, 1}, {1, 0, 2, 2}}))
        .hasSameHashCodeAs(
            Placement.ofSlots(new Topology(1, 2), 3, new int[][] {{0, 2, 0, 1}, {1, 0, 2, 2}}));
    assertThat(placement.copies(0, 0)).isEqualTo(2);
    assertThat(placement.gpu(0, 0, 1)).isEqualTo(1);
    assertThat(placement.gpu(0, 2)).isZero();
    assertThat(placement.slots(1)).isEqualTo(4);
    assertThat(placement.held(1)).containsExactly(2, 2);
    assertThat(placement.isBalanced()).isTrue();
    assertThat(placement.hasCopies(0)).isTrue();
    assertThatThrownBy(() -> placement.gpu(0, 0))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Cannot name one GPU of layer 0, expert 0: it has 2 copies");
    assertThatThrownBy(placement::toArray)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Cannot use a placement with copies of experts as a map of one GPU for each");
  }

  @Test
  void impossibleCopiesAreRefused() {
    Topology two = new Topology(1, 2);
    assertThatThrownBy(() -> Placement.ofCopies(two, new int[][][] {{{0}, {}}}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid placement: layer 0, expert 1 has no copy");
    assertThatThrownBy(() -> Placement.ofCopies(two, new int[][][] {{{0, 2}}}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid placement: layer 0, expert 0 is on GPU 2, the topology 1x2 has 0 to 1");
    assertThatThrownBy(() -> Placement.ofCopies(two, new int[][][] {{{0}}, {{0}, {1}}}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid placement: layer 1 has 2 experts, layer 0 has 1");
    assertThatThrownBy(() -> Placement.ofCopies(two, new int[0][][]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid placement: no layers or no experts");
    assertThatThrownBy(() -> Placement.ofSlots(two, 2, new int[][] {{0, 1, 0}}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid placement: layer 0 has 3 slots, no multiple of 2 GPUs");
    assertThatThrownBy(() -> Placement.ofSlots(two, 2, new int[][] {{0, 2}}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid placement: layer 0, slot 1 has expert 2, expected 0 to 1");
    int[][][] primes = new int[1][][];
    primes[0] =
        Arrays.stream(new int[] {2, 3, 5, 7, 11, 13, 17, 19, 23, 29})
            .mapToObj(n -> new int[n])
            .toArray(int[][]::new);
    assertThatThrownBy(() -> Placement.ofCopies(two, primes))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid placement: the numbers of copies in layer 0 have a common multiple above 2147483647");
  }
}
