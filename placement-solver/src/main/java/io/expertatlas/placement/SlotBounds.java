package io.expertatlas.placement;

import java.util.Arrays;

/** How many experts of a layer each GPU may hold; the same in every layer. Immutable. */
public final class SlotBounds {
  private final int[] least; // [gpu]
  private final int[] most; // [gpu]

  /**
   * Creates the bounds from copies of arrays. Bounds that no placement meets are allowed: solving
   * says so.
   *
   * @param least {@code [gpu]} fewest experts of a layer
   * @param most {@code [gpu]} most experts of a layer
   * @throws IllegalArgumentException if the arrays are empty or not equally long, or a bound is
   *     negative or {@code least} above {@code most}
   */
  public SlotBounds(int[] least, int[] most) {
    this.least = least.clone();
    this.most = most.clone();
    if (least.length == 0 || least.length != most.length) {
      throw new IllegalArgumentException(
          "Invalid slots: bounds of %d and %d GPUs, expected equally many, at least 1"
              .formatted(least.length, most.length));
    }

    for (int gpu = 0; gpu < least.length; gpu++) {
      if (least[gpu] < 0 || most[gpu] < least[gpu]) {
        throw new IllegalArgumentException(
            "Invalid experts of a layer on GPU %d: %d to %d, at least 0 to at least as many"
                .formatted(gpu, least[gpu], most[gpu]));
      }
    }
  }

  /** The same bounds for all GPUs. */
  public static SlotBounds uniform(int gpus, int least, int most) {
    int[] leasts = new int[gpus];
    int[] mosts = new int[gpus];
    Arrays.fill(leasts, least);
    Arrays.fill(mosts, most);
    return new SlotBounds(leasts, mosts);
  }

  /** Equal counts: {@code experts / gpus}, rounded down or up where it is no whole number. */
  public static SlotBounds balanced(int experts, int gpus) {
    return uniform(gpus, experts / gpus, (experts + gpus - 1) / gpus);
  }

  /** The slots that a topology says; if it says none, equal counts. */
  public static SlotBounds of(int experts, Topology topology) {
    if (!topology.hasSlots()) {
      return balanced(experts, topology.gpus());
    }

    int[] least = new int[topology.gpus()];
    int[] most = new int[topology.gpus()];
    Arrays.setAll(most, topology::slots);
    long all = Arrays.stream(most).asLongStream().sum();
    Arrays.setAll(
        least, gpu -> (int) Math.min(most[gpu], Math.max(0, experts - (all - most[gpu]))));
    return new SlotBounds(least, most);
  }

  /** Number of GPUs. */
  public int gpus() {
    return least.length;
  }

  /** Fewest experts of a layer on a GPU. */
  public int least(int gpu) {
    return least[gpu];
  }

  /** Most experts of a layer on a GPU. */
  public int most(int gpu) {
    return most[gpu];
  }

  /** Whether all GPUs have the same bounds. */
  public boolean isUniform() {
    return Arrays.stream(least).allMatch(l -> l == least[0])
        && Arrays.stream(most).allMatch(m -> m == most[0]);
  }

  /** Whether so many experts of a layer can be put on the GPUs. */
  public boolean canHold(int experts) {
    return Arrays.stream(least).asLongStream().sum() <= experts
        && Arrays.stream(most).asLongStream().sum() >= experts;
  }

  /** Whether a GPU may hold so many experts of a layer. */
  public boolean allows(int gpu, int experts) {
    return experts >= least[gpu] && experts <= most[gpu];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SlotBounds that
        && Arrays.equals(least, that.least)
        && Arrays.equals(most, that.most);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(least) + Arrays.hashCode(most);
  }

  /** In words, for tables and logs. */
  @Override
  public String toString() {
    if (!isUniform()) {
      return "experts of each layer per GPU: %s to %s"
          .formatted(Arrays.toString(least), Arrays.toString(most));
    }

    return least[0] == most[0]
        ? "%d experts of each layer on every GPU".formatted(least[0])
        : "%d to %d experts of each layer on a GPU".formatted(least[0], most[0]);
  }
}
