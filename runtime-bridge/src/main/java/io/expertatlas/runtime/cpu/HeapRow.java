package io.expertatlas.runtime.cpu;

/** An array for a row's numbers, kept and grown. */
final class HeapRow {
  private float[] row = {};

  /** At least so many numbers, of any values. */
  float[] of(int width) {
    if (row.length < width) {
      row = new float[width];
    }

    return row;
  }
}
