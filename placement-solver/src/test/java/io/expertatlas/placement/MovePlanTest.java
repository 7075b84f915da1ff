package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.MovePlan.Staging;
import io.expertatlas.placement.MovePlan.Step;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MovePlanTest {
  private static Placement drawn(
      Topology topology, int layers, int experts, int slots, SplittableRandom random) {
    int[][] map = new int[layers][experts];
    for (int[] layer : map) {
      int[] held = new int[topology.gpus()];
      for (int expert = 0; expert < experts; expert++) {
        int gpu = random.nextInt(held.length);
        while (held[gpu] == slots) {
          gpu = (gpu + 1) % held.length;
        }

        layer[expert] = gpu;
        held[gpu]++;
      }
    }

    return new Placement(topology, map);
  }

  /** Carries the steps out one by one and looks at every GPU after each. */
  private static void simulate(Placement current, Placement target, int slots, MovePlan plan) {
    int[][] map = current.toArray();
    int[][] held = new int[current.layers()][current.topology().gpus()];
    for (int layer = 0; layer < map.length; layer++) {
      for (int gpu : map[layer]) {
        held[layer][gpu]++;
      }
    }

    int over = -1; // the GPU whose staging slot is in use
    for (Step step : plan.steps()) {
      int[] layer = map[step.layer()];
      assertThat(layer[step.expert()]).isEqualTo(step.from());
      layer[step.expert()] = step.to();
      if (step.back() >= 0) {
        assertThat(layer[step.back()]).isEqualTo(step.to());
        layer[step.back()] = step.from();
        continue;
      }

      held[step.layer()][step.from()]--;
      held[step.layer()][step.to()]++;
      if (step.isStaged()) {
        assertThat(over).as("one staging slot at a time").isEqualTo(-1);
        over = step.to();
      } else if (step.from() == over) {
        over = -1;
      }

      for (int gpu = 0; gpu < current.topology().gpus(); gpu++) {
        assertThat(held[step.layer()][gpu]).isLessThanOrEqualTo(slots + (gpu == over ? 1 : 0));
      }
    }

    assertThat(over).isEqualTo(-1);
    assertThat(new Placement(current.topology(), map)).isEqualTo(target);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void stepByStepNoGpuHoldsMoreThanItsSlots(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int gpus = seed % 7 == 0 ? 1 : 1 + random.nextInt(6);
    int slots = 1 + random.nextInt(4);
    int experts = seed % 2 == 0 ? gpus * slots : 1 + random.nextInt(gpus * slots);
    Topology topology = new Topology(1, gpus);
    int layers = 1 + random.nextInt(3);
    Placement current = drawn(topology, layers, experts, slots, random);
    Placement target = drawn(topology, layers, experts, slots, random);
    int differing = 0;
    for (int layer = 0; layer < layers; layer++) {
      for (int expert = 0; expert < experts; expert++) {
        differing += current.gpu(layer, expert) == target.gpu(layer, expert) ? 0 : 1;
      }
    }

    SlotBounds bounds = SlotBounds.uniform(gpus, 0, slots);
    MovePlan spare = MovePlan.between(current, target, bounds, Staging.SPARE);
    MovePlan swap = MovePlan.between(current, target, bounds, Staging.SWAP);

    simulate(current, target, slots, spare);
    simulate(current, target, slots, swap);
    assertThat(spare.transfers()).isEqualTo(differing);
    assertThat(spare.steps()).hasSize(differing);
    assertThat(swap.transfers()).isBetween(differing, 2 * differing);
    assertThat(swap.steps()).noneMatch(Step::isStaged);
  }

  @Test
  void aCycleOfFullGpusGoesThroughOneStagingSlot() {
    Topology topology = new Topology(1, 3);
    Placement current = new Placement(topology, new int[][] {{0, 1, 2}});
    Placement target = new Placement(topology, new int[][] {{1, 2, 0}});
    SlotBounds one = SlotBounds.uniform(3, 1, 1);

    assertThat(MovePlan.between(current, target, one, Staging.SPARE).steps())
        .containsExactly(
            new Step(0, 0, 0, 1, -1, true),
            new Step(0, 2, 2, 0, -1, false),
            new Step(0, 1, 1, 2, -1, false));
    assertThat(MovePlan.between(current, target, one, Staging.SWAP).steps())
        .containsExactly(new Step(0, 0, 0, 1, 1, false), new Step(0, 1, 0, 2, 2, false));
    assertThat(
            MovePlan.between(current, target, SlotBounds.uniform(3, 0, 2), Staging.SPARE).steps())
        .noneMatch(Step::isStaged)
        .hasSize(3);
    assertThat(MovePlan.between(current, current, one, Staging.SPARE).steps()).isEmpty();
  }

  @Test
  void placementsThatDoNotFitEachOtherAreRefused() {
    Placement current = new Placement(new Topology(1, 2), new int[][] {{0, 0, 1}});
    Placement wide = new Placement(new Topology(1, 2), new int[][] {{0, 0, 1, 1}});

    assertThatThrownBy(
            () -> MovePlan.between(current, wide, SlotBounds.uniform(2, 0, 2), Staging.SPARE))
        .hasMessage(
            "Cannot move between placements of 1 layers x 3 experts on 1x2 GPUs and 1 x 4 on 1x2");
    assertThatThrownBy(
            () -> MovePlan.between(current, current, SlotBounds.uniform(2, 0, 1), Staging.SPARE))
        .hasMessage(
            "Cannot move layer 0: GPU 0 holds 2 experts before and 2 after, it has 1 slots");
  }
}
