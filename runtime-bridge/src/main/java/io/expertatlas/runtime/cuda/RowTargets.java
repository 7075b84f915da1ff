package io.expertatlas.runtime.cuda;

import java.util.Arrays;

/**
 * Rows by where they are added: row {@code order[n]} is added to row {@code targets[b]}, n from
 * {@code starts[b]} to before {@code starts[b + 1]}, in their first order.
 */
record RowTargets(int[] targets, int[] starts, int[] order) {
  /** Groups rows 0, 1, ... by the index of each, at least one. */
  static RowTargets of(int[] indices) {
    int[] ends = new int[Arrays.stream(indices).max().orElseThrow() + 2]; // [index + 1]
    for (int index : indices) {
      ends[index + 1]++;
    }

    int[] targets = new int[indices.length];
    int[] starts = new int[indices.length + 1];
    int count = 0;
    for (int index = 0; index + 1 < ends.length; index++) {
      if (ends[index + 1] > 0) {
        targets[count] = index;
        starts[count++] = ends[index];
      }

      ends[index + 1] += ends[index];
    }

    starts[count] = indices.length;
    int[] order = new int[indices.length];
    for (int row = 0; row < indices.length; row++) {
      order[ends[indices[row]]++] = row;
    }

    return new RowTargets(Arrays.copyOf(targets, count), Arrays.copyOf(starts, count + 1), order);
  }
}
