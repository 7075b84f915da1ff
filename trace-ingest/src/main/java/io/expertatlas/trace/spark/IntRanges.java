package io.expertatlas.trace.spark;

import java.io.Serializable;
import java.util.Arrays;

/** A set of ints as ascending intervals with gaps between them. Immutable. */
final class IntRanges implements Serializable {
  private static final long serialVersionUID = 1;

  static final IntRanges ALL = of(Integer.MIN_VALUE, Integer.MAX_VALUE);
  static final IntRanges NONE = new IntRanges(new long[0]);

  private final long[] bounds; // [interval][first, last]

  private IntRanges(long[] bounds) {
    this.bounds = bounds;
  }

  /** {@code first} to {@code last}, both inclusive, cut to ints; none if it is empty. */
  static IntRanges of(long first, long last) {
    long from = Math.max(first, Integer.MIN_VALUE);
    long to = Math.min(last, Integer.MAX_VALUE);
    return new IntRanges(from <= to ? new long[] {from, to} : new long[0]);
  }

  /** The given values, in any order, also repeated. */
  static IntRanges ofValues(int[] values) {
    int[] sorted = values.clone();
    Arrays.sort(sorted);
    long[] found = new long[2 * sorted.length];
    int used = 0;
    for (int value : sorted) {
      if (used > 0 && found[used - 1] >= value - 1L) {
        found[used - 1] = value;
      } else {
        found[used++] = value;
        found[used++] = value;
      }
    }

    return new IntRanges(Arrays.copyOf(found, used));
  }

  IntRanges union(IntRanges other) {
    return complement().intersect(other.complement()).complement();
  }

  IntRanges intersect(IntRanges other) {
    long[] both = new long[bounds.length + other.bounds.length];
    int used = 0;
    int i = 0;
    int j = 0;
    while (i < bounds.length && j < other.bounds.length) {
      long from = Math.max(bounds[i], other.bounds[j]);
      long to = Math.min(bounds[i + 1], other.bounds[j + 1]);
      if (from <= to) {
        both[used++] = from;
        both[used++] = to;
      }

      if (bounds[i + 1] < other.bounds[j + 1]) {
        i += 2;
      } else {
        j += 2;
      }
    }

    return new IntRanges(Arrays.copyOf(both, used));
  }

  IntRanges complement() {
    long[] rest = new long[bounds.length + 2];
    int used = 0;
    long next = Integer.MIN_VALUE;
    for (int i = 0; i < bounds.length; i += 2) {
      if (next < bounds[i]) {
        rest[used++] = next;
        rest[used++] = bounds[i] - 1;
      }

      next = bounds[i + 1] + 1;
    }

    if (next <= Integer.MAX_VALUE) {
      rest[used++] = next;
      rest[used++] = Integer.MAX_VALUE;
    }

    return new IntRanges(Arrays.copyOf(rest, used));
  }

  boolean isAll() {
    return equals(ALL);
  }

  boolean isEmpty() {
    return bounds.length == 0;
  }

  boolean contains(int value) {
    int low = 0; // the first interval that does not end before the value
    int high = bounds.length / 2;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (bounds[2 * middle + 1] < value) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }

    return 2 * low < bounds.length && bounds[2 * low] <= value;
  }

  /** Whether any value of {@code first} to {@code last}, both inclusive, is in the set. */
  boolean overlaps(int first, int last) {
    return !intersect(of(first, last)).isEmpty();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof IntRanges that && Arrays.equals(bounds, that.bounds);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bounds);
  }

  /** Intervals as {@code 3}, {@code 3..9}, {@code ..9}, {@code 3..}. */
  @Override
  public String toString() {
    if (isEmpty()) {
      return "none";
    }

    StringBuilder text = new StringBuilder();
    for (int i = 0; i < bounds.length; i += 2) {
      text.append(i == 0 ? "" : ", ");
      if (bounds[i] == bounds[i + 1]) {
        text.append(bounds[i]);
        continue;
      }

      text.append(bounds[i] == Integer.MIN_VALUE ? "" : bounds[i]).append("..");
      text.append(bounds[i + 1] == Integer.MAX_VALUE ? "" : bounds[i + 1]);
    }

    return text.toString();
  }
}
