package io.expertatlas.placement;

import java.util.Arrays;
import java.util.Optional;

/**
 * What a placement must not exceed, all hard: choices on a GPU, layer by layer, and totals of
 * objectives. A cap is met by a value equal to it. Immutable.
 */
public final class Caps {
  /** No caps. */
  public static final Caps NONE =
      new Caps(new long[0], filled(Objective.values().length, Long.MAX_VALUE));

  private final long[] load; // [layer], or empty: none
  private final long[] totals; // [objective]

  private Caps(long[] load, long[] totals) {
    this.load = load;
    this.totals = totals;
  }

  private static long[] filled(int length, long value) {
    long[] values = new long[length];
    Arrays.fill(values, value);
    return values;
  }

  /**
   * The same with another cap on load.
   *
   * @param choices {@code [layer]} most choices of a layer on a GPU, {@code Long.MAX_VALUE} for any
   *     number; empty for none at all
   * @throws IllegalArgumentException if one is negative
   */
  public Caps withLoad(long... choices) {
    for (int layer = 0; layer < choices.length; layer++) {
      if (choices[layer] < 0) {
        throw new IllegalArgumentException(
            "Invalid cap on the load of layer %d: %d, at least 0".formatted(layer, choices[layer]));
      }
    }

    return new Caps(choices.clone(), totals);
  }

  /**
   * The same with another cap on the total of an objective.
   *
   * @throws IllegalArgumentException if it is negative
   */
  public Caps withTotal(Objective objective, long most) {
    if (most < 0) {
      throw new IllegalArgumentException(
          "Invalid cap on %s: %d, at least 0".formatted(objective.word(), most));
    }

    long[] other = totals.clone();
    other[objective.ordinal()] = most;
    return new Caps(load, other);
  }

  /** Most choices of a layer on a GPU, {@code Long.MAX_VALUE} if there is no cap. */
  public long load(int layer) {
    return load.length == 0 ? Long.MAX_VALUE : load[layer];
  }

  /** The most that the total of an objective may be, {@code Long.MAX_VALUE} if there is no cap. */
  public long total(Objective objective) {
    return totals[objective.ordinal()];
  }

  /** Whether any layer has a cap on load. */
  public boolean hasLoad() {
    return Arrays.stream(load).anyMatch(most -> most != Long.MAX_VALUE);
  }

  /** Whether any total has a cap. */
  public boolean hasTotals() {
    return Arrays.stream(totals).anyMatch(most -> most != Long.MAX_VALUE);
  }

  /** Whether there is no cap. */
  public boolean isNone() {
    return !hasLoad() && !hasTotals();
  }

  /**
   * Whether the caps are for so many layers.
   *
   * @param layers of the model
   */
  public boolean isFor(int layers) {
    return load.length == 0 || load.length == layers;
  }

  /** The first cap that a cost is above, in words with both numbers; empty if it meets them all. */
  public Optional<String> violation(PlacementCost cost) {
    for (int layer = 0; layer < load.length; layer++) {
      long hottest = cost.loads().hottest(layer);
      if (hottest > load[layer]) {
        return Optional.of(
            "layer %d has %d choices on its hottest GPU, at most %d"
                .formatted(layer, hottest, load[layer]));
      }
    }

    for (Objective objective : Objective.values()) {
      if (objective.total(cost) > total(objective)) {
        return Optional.of(
            "total %s is %d, at most %d"
                .formatted(objective.word(), objective.total(cost), total(objective)));
      }
    }

    return Optional.empty();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Caps that
        && Arrays.equals(load, that.load)
        && Arrays.equals(totals, that.totals);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(load) + Arrays.hashCode(totals);
  }

  /** Which caps there are, without the loads of every layer. */
  public String inWords() {
    String totals = withLoad().toString();
    if (!hasLoad()) {
      return totals;
    }

    return hasTotals() ? totals + ", and caps on load" : "caps on load";
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(hasLoad() ? "load " + Arrays.toString(load) : "");
    for (Objective objective : Objective.values()) {
      if (total(objective) != Long.MAX_VALUE) {
        text.append(text.isEmpty() ? "" : ", ")
            .append("total %s %d".formatted(objective.word(), total(objective)));
      }
    }

    return text.isEmpty() ? "no caps" : "at most " + text;
  }
}
