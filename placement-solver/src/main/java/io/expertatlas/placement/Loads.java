package io.expertatlas.placement;

import java.util.Arrays;

/**
 * Expert choices that land on each GPU in each layer, all ranks counted. Where copies share a
 * choice, it is cut into equal shares, and the loads are exact numbers of shares. Immutable.
 */
public final class Loads {
  private final int gpus;
  private final long[] amounts; // [layer][gpu], in shares
  private final long[] shares; // [layer], of a choice

  /**
   * Creates the loads of whole choices from a copy of a dense array.
   *
   * @param gpus number of GPUs
   * @param choices {@code [layer][gpu]}
   * @throws IllegalArgumentException if the array is not a positive number of layers long
   */
  public Loads(int gpus, long[] choices) {
    this(gpus, choices, whole(gpus, choices.length));
  }

  /**
   * Creates the loads from copies of dense arrays.
   *
   * @param gpus number of GPUs
   * @param amounts {@code [layer][gpu]}, in shares of a choice
   * @param shares {@code [layer]} how many shares a choice has, at least 1
   * @throws IllegalArgumentException if the arrays are not of the same positive number of layers,
   *     or a choice has no share
   */
  public Loads(int gpus, long[] amounts, long[] shares) {
    if (gpus < 1 || amounts.length == 0 || amounts.length != (long) gpus * shares.length) {
      throw new IllegalArgumentException(
          "Invalid loads: %d counts for %d GPUs".formatted(amounts.length, gpus));
    }

    for (long share : shares) {
      if (share < 1) {
        throw new IllegalArgumentException(
            "Invalid loads: %d shares of a choice, at least 1".formatted(share));
      }
    }

    this.gpus = gpus;
    this.amounts = amounts.clone();
    this.shares = shares.clone();
  }

  private static long[] whole(int gpus, int counts) {
    long[] shares = new long[counts / Math.max(1, gpus)];
    Arrays.fill(shares, 1);
    return shares;
  }

  /** Number of layers. */
  public int layers() {
    return shares.length;
  }

  /** Number of GPUs. */
  public int gpus() {
    return gpus;
  }

  /** Choices of a layer that land on a GPU; where copies share them, rounded up. */
  public long choices(int layer, int gpu) {
    return ceil(amounts[layer * gpus + gpu], shares[layer]);
  }

  /** Choices of a layer that land on a GPU, as a number with a fraction. */
  public double exactChoices(int layer, int gpu) {
    return amounts[layer * gpus + gpu] / (double) shares[layer];
  }

  /** Choices on the hottest GPU of a layer; where copies share them, rounded up. */
  public long hottest(int layer) {
    return ceil(most(layer), shares[layer]);
  }

  private static long ceil(long amount, long shares) {
    return amount / shares + (amount % shares == 0 ? 0 : 1);
  }

  private long most(int layer) {
    long most = 0;
    for (int gpu = 0; gpu < gpus; gpu++) {
      most = Math.max(most, amounts[layer * gpus + gpu]);
    }

    return most;
  }

  /** Load of the busiest GPU of a layer over the mean of its GPUs; 0 if nothing was chosen. */
  public double maxOverMean(int layer) {
    long sum = 0;
    for (int gpu = 0; gpu < gpus; gpu++) {
      sum += amounts[layer * gpus + gpu];
    }

    return sum == 0 ? 0 : most(layer) * (double) gpus / sum;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Loads that
        && gpus == that.gpus
        && Arrays.equals(amounts, that.amounts)
        && Arrays.equals(shares, that.shares);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * gpus + Arrays.hashCode(amounts)) + Arrays.hashCode(shares);
  }

  @Override
  public String toString() {
    return "Loads[%d GPUs, %s in shares of 1/%s]"
        .formatted(gpus, Arrays.toString(amounts), Arrays.toString(shares));
  }
}
