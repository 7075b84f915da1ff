package io.expertatlas.runtime.cuda;

import java.util.Arrays;

/**
 * Rows by where they are added: row {@code order[n]} is added to row {@code targets[b]}, n from
 * {@code starts[b]} to before {@code starts[b + 1]}, in their first order.
 */
record RowTargets(int[] targets, int[] starts, int[] order) {
  /** Groups rows 0, 1, ... by the index of each, at least one. */
  static RowTargets of(int[] indices) {
    long[] sorted = new long[indices.length]; // index, then row
    for (int row = 0; row < indices.length; row++) {
      sorted[row] = (long) indices[row] << 32 | row;
    }

    Arrays.sort(sorted);
    int[] targets = new int[indices.length];
    int[] starts = new int[indices.length + 1];
    int[] order = new int[indices.length];
    int count = 0;
    for (int n = 0; n < sorted.length; n++) {
      int target = (int) (sorted[n] >>> 32);
      if (n == 0 || target != targets[count - 1]) {
        targets[count] = target;
        starts[count++] = n;
      }

      order[n] = (int) sorted[n];
    }

    starts[count] = sorted.length;
    return new RowTargets(Arrays.copyOf(targets, count), Arrays.copyOf(starts, count + 1), order);
  }
}
