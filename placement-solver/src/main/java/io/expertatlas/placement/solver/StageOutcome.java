package io.expertatlas.placement.solver;

import java.util.Arrays;

/**
 * What a search for stages found. Immutable.
 *
 * <p>If no partition within the budget was found, {@link #isFound} is false; if it was proved that
 * there is none, the bound is {@code Long.MAX_VALUE}.
 */
public final class StageOutcome {
  private final int[] firstLayer; // [stage], or empty
  private final long makespanNanos;
  private final long boundNanos;

  /**
   * A partition.
   *
   * @param firstLayer {@code [stage]}; empty: none was found within the budget
   * @param makespanNanos of it
   * @param boundNanos no partition takes less
   */
  public StageOutcome(int[] firstLayer, long makespanNanos, long boundNanos) {
    this.firstLayer = firstLayer.clone();
    this.makespanNanos = makespanNanos;
    this.boundNanos = boundNanos;
  }

  /** Whether a partition within the budget was found. */
  public boolean isFound() {
    return firstLayer.length > 0;
  }

  /** First layers, {@code [stage]}. */
  public int[] firstLayer() {
    return firstLayer.clone();
  }

  /** How long a step takes. */
  public long makespanNanos() {
    return makespanNanos;
  }

  /** No partition takes less. */
  public long boundNanos() {
    return boundNanos;
  }

  /** Whether it was proved that no partition is within the budget. */
  public boolean isInfeasible() {
    return boundNanos == Long.MAX_VALUE;
  }

  /** By which part the makespan is above the bound, at most: 0 for a proven optimum. */
  public double gap() {
    return boundNanos == 0 ? Double.POSITIVE_INFINITY : (double) makespanNanos / boundNanos - 1;
  }

  @Override
  public String toString() {
    return "StageOutcome[%s, %d ns, at least %d]"
        .formatted(Arrays.toString(firstLayer), makespanNanos, boundNanos);
  }
}
