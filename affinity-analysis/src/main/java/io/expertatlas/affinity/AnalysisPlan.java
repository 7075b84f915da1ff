package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.io.Serializable;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;

/**
 * What an analysis counts beside the routes.
 *
 * @param window tokens of a window, or 0 for no windows; window w holds tokens {@code from + w *
 *     window} to {@code from + (w + 1) * window} of the trace, {@code from} being the first
 *     selected one
 * @param lags distances between layers at which first choices are paired, ascending
 * @param locality whether reuse between tokens is measured
 * @param groups the groups that every figure is split by
 */
public record AnalysisPlan(long window, List<Integer> lags, boolean locality, TokenGroups groups)
    implements Serializable {
  /** Nothing but the routes. */
  public static final AnalysisPlan PLAIN = new AnalysisPlan(0, List.of(), false, TokenGroups.NONE);

  private static final long MAX_BYTES = 2L << 30;

  /**
   * Checks the plan and sorts the lags.
   *
   * @throws IllegalArgumentException if a number is out of range or a lag stands twice
   */
  public AnalysisPlan {
    Objects.requireNonNull(groups, "groups is null");
    if (window < 0) {
      throw new IllegalArgumentException("Invalid window: %d tokens, at least 1".formatted(window));
    }

    TreeSet<Integer> sorted = new TreeSet<>(lags);
    if (sorted.size() != lags.size() || !sorted.isEmpty() && sorted.first() < 1) {
      throw new IllegalArgumentException(
          "Invalid lags: %s, expected distinct whole numbers from 1 on".formatted(lags));
    }

    lags = List.copyOf(sorted);
  }

  /** Whether only the routes are counted. */
  public boolean isPlain() {
    return window == 0 && lags.isEmpty() && !locality && groups.isNone();
  }

  /** Whether tokens must be counted with their index in the trace. */
  public boolean needsIndex() {
    return window > 0 || locality;
  }

  /**
   * Checks that a model can be counted by this plan.
   *
   * @param parts number of groups counted at once
   * @throws IllegalArgumentException if a lag is not below the number of layers, or the counts of
   *     all groups would take more than 2 GiB
   */
  void check(ModelShape shape, int parts) {
    for (int lag : lags) {
      if (lag >= shape.layers()) {
        throw new IllegalArgumentException(
            "Invalid lag: %d, below the number of MoE layers %d".formatted(lag, shape.layers()));
      }
    }

    if (isPlain()) {
      return;
    }

    long square = (long) shape.experts() * shape.experts();
    long bytes = (16L * (shape.layers() - 1) + 8L * shape.layers()) * square; // what is kept
    for (int lag : lags) {
      bytes += 8 * (shape.layers() - lag) * square;
    }

    if (bytes * parts > MAX_BYTES) {
      throw new IllegalArgumentException(
          "Cannot count %s in %d groups: %,d MiB of counts, at most %,d. Maybe take fewer groups or lags"
              .formatted(shape, parts, bytes * parts >> 20, MAX_BYTES >> 20));
    }
  }
}
