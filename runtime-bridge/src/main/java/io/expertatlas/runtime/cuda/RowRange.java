package io.expertatlas.runtime.cuda;

/** The least and the largest of some rows; of none, 0 and -1. */
record RowRange(int least, int largest) {
  static RowRange of(int[] indices) {
    int least = 0;
    int largest = -1;
    for (int index : indices) { // without a branch: the compiler takes several at a time
      least = Math.min(least, index);
      largest = Math.max(largest, index);
    }

    return new RowRange(least, largest);
  }

  /**
   * Checks that a matrix has them.
   *
   * @throws IllegalArgumentException if not, with the row
   */
  void checkWithin(int rows) {
    if (least < 0 || largest >= rows) {
      int wrong = least < 0 ? least : largest;
      throw new IllegalArgumentException("Invalid row %d of %d".formatted(wrong, rows));
    }
  }
}
