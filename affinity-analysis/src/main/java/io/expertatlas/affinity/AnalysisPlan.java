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
 * @param folds parts that the sequences are dealt to and whose routes are kept apart, to fit on
 *     some and score on another; 0 for none
 */
public record AnalysisPlan(
    long window, List<Integer> lags, boolean locality, TokenGroups groups, int folds)
    implements Serializable {
  /** Nothing but the routes. */
  public static final AnalysisPlan PLAIN = new AnalysisPlan(0, List.of(), false, TokenGroups.NONE);

  /** Most folds. */
  public static final int MAX_FOLDS = 64;

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
    if (folds < 0 || folds == 1 || folds > MAX_FOLDS) {
      throw new IllegalArgumentException(
          "Invalid number of folds: %d, 0 or 2 to %d".formatted(folds, MAX_FOLDS));
    }
  }

  /** A plan without folds. */
  public AnalysisPlan(long window, List<Integer> lags, boolean locality, TokenGroups groups) {
    this(window, lags, locality, groups, 0);
  }

  /** The same plan with so many folds. */
  public AnalysisPlan withFolds(int number) {
    return new AnalysisPlan(window, lags, locality, groups, number);
  }

  /**
   * The fold of a sequence: its id, mixed and reduced. Mixed, because ids may follow a pattern, and
   * a selection such as {@code %2=0} must not empty folds.
   */
  public int fold(int sequence) {
    if (folds == 0) {
      return 0;
    }

    int mixed = (sequence ^ sequence >>> 16) * 0x85ebca6b; // MurmurHash3's last mixing step
    mixed = (mixed ^ mixed >>> 13) * 0xc2b2ae35;
    return Integer.remainderUnsigned(mixed ^ mixed >>> 16, folds);
  }

  /** Whether only the routes are counted. */
  public boolean isPlain() {
    return folds == 0 && countsRoutesOnly();
  }

  /** Whether only the routes are counted, in folds or not. */
  public boolean countsRoutesOnly() {
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
    long bytes = // what is kept
        (16L * (shape.layers() - 1) + 8L * shape.layers()) * square * Math.max(1, folds);
    for (int lag : lags) {
      bytes += 8 * (shape.layers() - lag) * square;
    }

    if (bytes * parts > MAX_BYTES) {
      throw new IllegalArgumentException(
          "Cannot count %s in %d groups and %d folds: %,d MiB of counts, at most %,d. Maybe take fewer groups, folds or lags"
              .formatted(shape, parts, folds, bytes * parts >> 20, MAX_BYTES >> 20));
    }
  }
}
