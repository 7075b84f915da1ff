package io.expertatlas.placement.search;

import java.util.Arrays;

/**
 * Linear assignment by shortest augmenting paths (the Hungarian method with potentials), O(n^3).
 * Keeps its work arrays between solves; not safe for several threads. Ties go to the lowest column.
 */
public final class Assignment {
  private final int n;
  private final long[] rowPotential; // [row + 1]
  private final long[] columnPotential; // [column + 1]
  private final int[] rowOf; // [column + 1], row + 1 or 0
  private final int[] way; // [column + 1]
  private final long[] slack; // [column + 1]
  private final boolean[] used; // [column + 1]

  /** Makes room for problems of {@code n} rows and columns. */
  public Assignment(int n) {
    this.n = n;
    this.rowPotential = new long[n + 1];
    this.columnPotential = new long[n + 1];
    this.rowOf = new int[n + 1];
    this.way = new int[n + 1];
    this.slack = new long[n + 1];
    this.used = new boolean[n + 1];
  }

  /**
   * Matches every row with a column so that the sum of costs is smallest.
   *
   * @param cost {@code [row * n + column]}, absolute values below 2^62 / n
   * @param columnOf {@code [row]} receives the column of each row
   * @return the smallest sum
   */
  public long minimize(long[] cost, int[] columnOf) {
    Arrays.fill(rowPotential, 0);
    Arrays.fill(columnPotential, 0);
    Arrays.fill(rowOf, 0);
    for (int row = 1; row <= n; row++) {
      augment(cost, row);
    }

    long sum = 0;
    for (int column = 1; column <= n; column++) {
      int row = rowOf[column] - 1;
      columnOf[row] = column - 1;
      sum += cost[row * n + column - 1];
    }

    return sum;
  }

  private void augment(long[] cost, int row) {
    rowOf[0] = row;
    Arrays.fill(slack, Long.MAX_VALUE);
    Arrays.fill(used, false);
    int column = 0;
    do {
      used[column] = true;
      int at = rowOf[column];
      int nearest = 0;
      long delta = Long.MAX_VALUE;
      for (int j = 1; j <= n; j++) {
        if (!used[j]) {
          long reduced = cost[(at - 1) * n + j - 1] - rowPotential[at] - columnPotential[j];
          if (reduced < slack[j]) {
            slack[j] = reduced;
            way[j] = column;
          }

          if (slack[j] < delta) {
            delta = slack[j];
            nearest = j;
          }
        }
      }

      for (int j = 0; j <= n; j++) {
        if (used[j]) {
          rowPotential[rowOf[j]] += delta;
          columnPotential[j] -= delta;
        } else if (slack[j] != Long.MAX_VALUE) {
          slack[j] -= delta;
        }
      }

      column = nearest;
    } while (rowOf[column] != 0);

    while (column != 0) {
      int before = way[column];
      rowOf[column] = rowOf[before];
      column = before;
    }
  }
}
