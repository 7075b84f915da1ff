package io.expertatlas.placement.copies;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import java.util.Arrays;
import java.util.Objects;

/**
 * A placement problem with redundant slots: every GPU holds equally many slots of every layer, more
 * in all than there are experts.
 *
 * @param problem routes, cluster, objective and caps; its own bounds on experts per GPU do not
 *     count
 * @param slotsPerGpu slots of a layer on each GPU
 */
public record CopyProblem(PlacementProblem problem, int slotsPerGpu) {
  /**
   * Checks that every expert has a slot.
   *
   * @throws IllegalArgumentException if there are fewer slots than experts, or above 2^20 in a
   *     layer
   */
  public CopyProblem {
    Objects.requireNonNull(problem, "problem is null");
    long slots = (long) slotsPerGpu * problem.topology().gpus();
    if (slots < problem.shape().experts() || slots > 1 << 20) {
      throw new IllegalArgumentException(
          "Invalid slots: %d per GPU on %d GPUs, in all at least %d, one for each expert, and at most %d"
              .formatted(
                  slotsPerGpu, problem.topology().gpus(), problem.shape().experts(), 1 << 20));
    }

    for (int gpu = 0; problem.topology().hasSlots() && gpu < problem.topology().gpus(); gpu++) {
      if (problem.topology().slots(gpu) < slotsPerGpu) {
        throw new IllegalArgumentException(
            "Invalid slots: %d of a layer on each GPU, GPU %d of the cluster has %d"
                .formatted(slotsPerGpu, gpu, problem.topology().slots(gpu)));
      }
    }
  }

  /**
   * The problem with a number of redundant slots in all, as load balancers count them.
   *
   * @throws IllegalArgumentException if it is negative or the GPUs do not divide the slots
   */
  public static CopyProblem ofRedundant(PlacementProblem problem, int redundant) {
    int gpus = problem.topology().gpus();
    long slots = (long) problem.shape().experts() + redundant;
    if (redundant < 0 || slots % gpus != 0) {
      int missing = (gpus - problem.shape().experts() % gpus) % gpus;
      throw new IllegalArgumentException(
          "Invalid redundant slots: %d with %d experts on %d GPUs, expected %d or %d more of them at a time"
              .formatted(redundant, problem.shape().experts(), gpus, missing, gpus));
    }

    return new CopyProblem(problem, Math.toIntExact(slots / gpus));
  }

  /** Slots of a layer in all. */
  public int slots() {
    return slotsPerGpu * problem.topology().gpus();
  }

  /** Slots of a layer above one for each expert. */
  public int redundant() {
    return slots() - problem.shape().experts();
  }

  /** Choices of each expert of a layer, {@code [expert]}. */
  long[] choices(int layer) {
    long[] choices = new long[problem.shape().experts()];
    for (int expert = 0; expert < choices.length; expert++) {
      choices[expert] = problem.counts().popularity().choices(layer, expert);
    }

    return choices;
  }

  /**
   * The deal of a layer of a placement of one copy each, the spare slots of each GPU with its least
   * chosen expert again.
   */
  int[] deal(Placement placement, int layer) {
    int[] deal = new int[slots()];
    int[] used = new int[problem.topology().gpus()];
    int[] coldest = new int[problem.topology().gpus()];
    Arrays.fill(coldest, -1);
    long[] choices = choices(layer);
    int perGpu = slotsPerGpu();
    for (int expert = 0; expert < placement.experts(); expert++) {
      int gpu = placement.gpu(layer, expert);
      deal[gpu * perGpu + used[gpu]++] = expert;
      if (coldest[gpu] < 0 || choices[expert] < choices[coldest[gpu]]) {
        coldest[gpu] = expert;
      }
    }

    for (int gpu = 0; gpu < used.length; gpu++) {
      int spare = coldest[gpu] < 0 ? gpu % placement.experts() : coldest[gpu];
      Arrays.fill(deal, gpu * perGpu + used[gpu], (gpu + 1) * perGpu, spare);
    }

    return deal;
  }
}
