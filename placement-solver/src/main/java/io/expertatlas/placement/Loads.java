package io.expertatlas.placement;

import java.util.Arrays;

/** Expert choices that land on each GPU in each layer, all ranks counted. Immutable. */
public final class Loads {
  private final int gpus;
  private final long[] choices; // [layer][gpu]

  /**
   * Creates the loads from a copy of a dense array.
   *
   * @param gpus number of GPUs
   * @param choices {@code [layer][gpu]}
   * @throws IllegalArgumentException if the array is not a positive number of layers long
   */
  public Loads(int gpus, long[] choices) {
    if (gpus < 1 || choices.length == 0 || choices.length % gpus != 0) {
      throw new IllegalArgumentException(
          "Invalid loads: %d counts for %d GPUs".formatted(choices.length, gpus));
    }

    this.gpus = gpus;
    this.choices = choices.clone();
  }

  /** Number of layers. */
  public int layers() {
    return choices.length / gpus;
  }

  /** Number of GPUs. */
  public int gpus() {
    return gpus;
  }

  /** Choices of a layer that land on a GPU. */
  public long choices(int layer, int gpu) {
    return choices[layer * gpus + gpu];
  }

  /** Choices on the hottest GPU of a layer. */
  public long hottest(int layer) {
    long hottest = 0;
    for (int gpu = 0; gpu < gpus; gpu++) {
      hottest = Math.max(hottest, choices(layer, gpu));
    }

    return hottest;
  }

  /** Load of the busiest GPU of a layer over the mean of its GPUs; 0 if nothing was chosen. */
  public double maxOverMean(int layer) {
    long sum = 0;
    for (int gpu = 0; gpu < gpus; gpu++) {
      sum += choices(layer, gpu);
    }

    return sum == 0 ? 0 : hottest(layer) * (double) gpus / sum;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Loads that && gpus == that.gpus && Arrays.equals(choices, that.choices);
  }

  @Override
  public int hashCode() {
    return 31 * gpus + Arrays.hashCode(choices);
  }

  @Override
  public String toString() {
    return "Loads[%d GPUs, %s]".formatted(gpus, Arrays.toString(choices));
  }
}
