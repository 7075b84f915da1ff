package io.expertatlas.predictor;

import java.util.Arrays;

/**
 * Matrix times vector in plain loops that the JIT turns into vector instructions: a sum of floats in
 * one variable must keep its order and stays scalar, so products are summed in {@link #LANES}
 * independent sums first.
 */
final class DotProducts {
  /** Sums of a row that are kept apart; a power of two. */
  static final int LANES = 256;

  private DotProducts() {}

  /**
   * Adds {@code matrix * vector} to a vector.
   *
   * @param matrix {@code [rows][columns]}
   * @param vector {@code [columns]}
   * @param lanes scratch of {@link #LANES}
   * @param into {@code [rows]}
   */
  static void addProduct(
      float[] matrix, int rows, int columns, float[] vector, float[] lanes, float[] into) {
    for (int row = 0; row < rows; row++) {
      into[row] += dot(matrix, row * columns, columns, vector, lanes);
    }
  }

  private static float dot(float[] matrix, int from, int columns, float[] vector, float[] lanes) {
    int whole = columns & -LANES;
    float sum = 0;
    if (whole > 0) {
      Arrays.fill(lanes, 0f);
      for (int block = 0; block < whole; block += LANES) {
        addProducts(matrix, from + block, vector, block, lanes);
      }

      for (int half = LANES / 2; half >= 8; half /= 2) {
        fold(lanes, half);
      }

      for (int lane = 0; lane < 8; lane++) {
        sum += lanes[lane];
      }
    }

    for (int column = whole; column < columns; column++) {
      sum += matrix[from + column] * vector[column];
    }

    return sum;
  }

  private static void addProducts(float[] a, int aFrom, float[] b, int bFrom, float[] lanes) {
    for (int lane = 0; lane < LANES; lane++) {
      lanes[lane] += a[aFrom + lane] * b[bFrom + lane];
    }
  }

  private static void fold(float[] lanes, int half) {
    for (int lane = 0; lane < half; lane++) {
      lanes[lane] += lanes[half + lane];
    }
  }
}
