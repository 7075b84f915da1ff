package io.expertatlas.predictor;

/**
 * A matrix laid out for products with a vector in plain loops that the JIT turns into vector
 * instructions. Two things keep it from doing so: a sum of floats in one variable, whose order it
 * must keep, and array indices that begin at a variable. So a row is cut into chunks, an array
 * each, and products are summed in {@link #LANES} independent sums first. Immutable.
 */
final class ChunkedMatrix {
  /** Columns of a chunk. */
  static final int CHUNK = 1024;

  /** Sums of a row that are kept apart; a chunk holds {@code 4 * LANES} columns. */
  static final int LANES = CHUNK / 4;

  private final int rows;
  private final int columns;
  private final float[][] chunks; // [row * chunks of a row + chunk][CHUNK]
  private final float[] rest; // [row][columns % CHUNK]

  /**
   * Copies a matrix.
   *
   * @param matrix {@code [rows][columns]}
   */
  ChunkedMatrix(float[] matrix, int rows, int columns) {
    this.rows = rows;
    this.columns = columns;
    int whole = columns / CHUNK;
    int left = columns % CHUNK;
    this.chunks = new float[rows * whole][CHUNK];
    this.rest = new float[rows * left];
    for (int row = 0; row < rows; row++) {
      for (int chunk = 0; chunk < whole; chunk++) {
        System.arraycopy(
            matrix, row * columns + chunk * CHUNK, chunks[row * whole + chunk], 0, CHUNK);
      }

      System.arraycopy(matrix, row * columns + whole * CHUNK, rest, row * left, left);
    }
  }

  /** Cuts a vector into chunks; what is left over stays where it is. */
  static void cut(float[] vector, float[][] chunks) {
    for (int chunk = 0; chunk < chunks.length; chunk++) {
      System.arraycopy(vector, chunk * CHUNK, chunks[chunk], 0, CHUNK);
    }
  }

  /**
   * Adds {@code matrix * vector} to a vector.
   *
   * @param vector {@code [columns]}
   * @param cut the same, by {@link #cut}; {@code columns / CHUNK} chunks
   * @param lanes scratch of {@link #LANES}
   * @param into {@code [rows]}
   */
  void addProduct(float[] vector, float[][] cut, float[] lanes, float[] into) {
    int whole = columns / CHUNK;
    int left = columns % CHUNK;
    for (int row = 0; row < rows; row++) {
      float sum = 0;
      if (whole > 0) {
        multiply(chunks[row * whole], cut[0], lanes);
        for (int chunk = 1; chunk < whole; chunk++) {
          addProducts(chunks[row * whole + chunk], cut[chunk], lanes);
        }

        sum = sum(lanes);
      }

      into[row] += sum + dot(rest, row * left, vector, columns - left, left);
    }
  }

  private static void multiply(float[] a, float[] b, float[] lanes) {
    for (int i = 0; i < LANES; i++) {
      lanes[i] =
          a[i] * b[i]
              + a[i + LANES] * b[i + LANES]
              + a[i + 2 * LANES] * b[i + 2 * LANES]
              + a[i + 3 * LANES] * b[i + 3 * LANES];
    }
  }

  private static void addProducts(float[] a, float[] b, float[] lanes) {
    for (int i = 0; i < LANES; i++) {
      lanes[i] +=
          a[i] * b[i]
              + a[i + LANES] * b[i + LANES]
              + a[i + 2 * LANES] * b[i + 2 * LANES]
              + a[i + 3 * LANES] * b[i + 3 * LANES];
    }
  }

  private static float sum(float[] lanes) {
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    for (int i = 0; i < LANES; i += 4) {
      a += lanes[i];
      b += lanes[i + 1];
      c += lanes[i + 2];
      d += lanes[i + 3];
    }

    return a + b + (c + d);
  }

  /** Four sums side by side: what has no whole chunk is short, or a small model's. */
  private static float dot(float[] a, int aFrom, float[] b, int bFrom, int length) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    int i = 0;
    for (; i + 3 < length; i += 4) {
      s0 += a[aFrom + i] * b[bFrom + i];
      s1 += a[aFrom + i + 1] * b[bFrom + i + 1];
      s2 += a[aFrom + i + 2] * b[bFrom + i + 2];
      s3 += a[aFrom + i + 3] * b[bFrom + i + 3];
    }

    for (; i < length; i++) {
      s0 += a[aFrom + i] * b[bFrom + i];
    }

    return s0 + s1 + (s2 + s3);
  }
}
