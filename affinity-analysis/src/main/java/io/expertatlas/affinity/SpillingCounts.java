package io.expertatlas.affinity;

/**
 * An array of counters that are {@code int}s while they are counted, which halves the memory that a
 * pass touches, and {@code long}s once they may overflow. Mutable, not safe for several threads.
 *
 * <p>Who counts calls {@link #spill} before any counter can have grown by more than {@link
 * Integer#MAX_VALUE} since the last time.
 */
final class SpillingCounts {
  /** The counters since the last spill: the counting loop writes here directly. */
  final int[] recent;

  private long[] spilled = {}; // as long as recent, or empty as long as nothing was spilled

  SpillingCounts(int length) {
    recent = new int[length];
  }

  /** Moves the recent counts into the {@code long} ones. */
  void spill() {
    if (spilled.length == 0) {
      spilled = new long[recent.length];
    }

    for (int i = 0; i < recent.length; i++) {
      spilled[i] += recent[i];
      recent[i] = 0;
    }
  }

  /** Adds counters of the same length whose recent parts do not overflow together with these. */
  void merge(SpillingCounts other) {
    for (int i = 0; i < recent.length; i++) {
      recent[i] += other.recent[i];
    }

    if (other.spilled.length > 0) {
      if (spilled.length == 0) {
        spilled = new long[recent.length];
      }

      for (int i = 0; i < spilled.length; i++) {
        spilled[i] += other.spilled[i];
      }
    }
  }

  long[] toArray() {
    long[] sums = spilled.length == 0 ? new long[recent.length] : spilled.clone();
    for (int i = 0; i < recent.length; i++) {
      sums[i] += recent[i];
    }

    return sums;
  }

  /** Sets counters that were zero. */
  void load(long[] values) {
    for (int i = 0; i < values.length; i++) {
      if (values[i] != (int) values[i]) {
        spilled = values;
        return;
      }
    }

    for (int i = 0; i < values.length; i++) {
      recent[i] = (int) values[i];
    }
  }
}
