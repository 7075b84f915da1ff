package io.expertatlas.trace;

import java.util.Objects;
import java.util.OptionalInt;

/**
 * How many tokens each expert got in one window of a run: an iteration, a forward pass, a step.
 * Immutable and safe to share between threads.
 *
 * <p>This is all that programs record which only balance load. It tells popularity and how that
 * drifts. It cannot tell which experts a token visited together or one after the other: there is no
 * way from here to a {@link RoutingTrace}, to affinity or to distinct sets of a top-k.
 */
public final class ExpertCounts {
  private final int layers;
  private final int experts;
  private final String window;
  private final long step;
  private final OptionalInt rank;
  private final long[] counts; // [layer][expert]

  private ExpertCounts(
      int layers, int experts, String window, long step, OptionalInt rank, long[] counts) {
    this.layers = layers;
    this.experts = experts;
    this.window = window;
    this.step = step;
    this.rank = rank;
    this.counts = counts;
  }

  /**
   * Creates the counts of a window. The array is taken over, not copied: the caller must not change
   * it afterwards.
   *
   * @param layers MoE layers
   * @param experts logical experts in each
   * @param window what the window is, as recorded, such as {@code "iteration 11, micro-batch 2"}
   * @param step number of the iteration, pass or step that the window belongs to, as recorded;
   *     several windows may belong to one
   * @param rank the rank that counted; empty: all ranks together
   * @param counts {@code [layer][expert]} visits, not negative
   * @throws IllegalArgumentException if the lengths do not fit each other or a count is negative
   */
  public static ExpertCounts of(
      int layers, int experts, String window, long step, OptionalInt rank, long[] counts) {
    new ModelShape(layers, experts, 1); // checks both
    Objects.requireNonNull(window, "window is null");
    Objects.requireNonNull(rank, "rank is null");
    if (counts.length != (long) layers * experts) {
      throw new IllegalArgumentException(
          "Invalid number of counts: %d, expected %d for %d layers x %d experts"
              .formatted(counts.length, (long) layers * experts, layers, experts));
    }

    for (int i = 0; i < counts.length; i++) {
      if (counts[i] < 0) {
        throw new IllegalArgumentException(
            "Invalid count %d of layer %d, expert %d: at least 0"
                .formatted(counts[i], i / experts, i % experts));
      }
    }

    return new ExpertCounts(layers, experts, window, step, rank, counts);
  }

  /** MoE layers. */
  public int layers() {
    return layers;
  }

  /** Logical experts in each layer. */
  public int experts() {
    return experts;
  }

  /** What the window is, as recorded. */
  public String window() {
    return window;
  }

  /** The iteration, pass or step that the window belongs to, as recorded. */
  public long step() {
    return step;
  }

  /** The rank that counted; empty: all ranks together. */
  public OptionalInt rank() {
    return rank;
  }

  /** Visits of an expert in the window. */
  public long count(int layer, int expert) {
    Objects.checkIndex(expert, experts);
    return counts[layer * experts + expert];
  }

  /** Visits of all experts of a layer: tokens times top-k, if every token was counted. */
  public long sum(int layer) {
    long sum = 0;
    for (int expert = 0; expert < experts; expert++) {
      sum += count(layer, expert);
    }

    return sum;
  }

  @Override
  public String toString() {
    return "ExpertCounts[%s%s, %d layers x %d experts]"
        .formatted(window, rank.isPresent() ? ", rank " + rank.getAsInt() : "", layers, experts);
  }
}
