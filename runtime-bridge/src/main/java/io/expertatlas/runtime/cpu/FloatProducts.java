package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import java.nio.FloatBuffer;

/**
 * Matrix products in floats by OpenBLAS, on row-major buffers of the heap or outside it, from their
 * positions. Safe for several threads; as many threads compute as {@link
 * DoubleProducts#useThreads} or a {@link CpuDevice} said last.
 */
public final class FloatProducts {
  private FloatProducts() {}

  /** {@code c = a transposed(b)}; a {@code [m, k]}, b {@code [n, k]}, c {@code [m, n]}. */
  public static void byTransposed(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    if (m > 0 && n > 0 && k > 0) {
      cblas_sgemm(
          CblasRowMajor,
          CblasNoTrans,
          CblasTrans,
          m,
          n,
          k,
          1,
          whole(a),
          k,
          whole(b),
          k,
          0,
          whole(c),
          n);
    }
  }

  /** {@code c = a b}; a {@code [m, k]}, b {@code [k, n]}, c {@code [m, n]}. */
  public static void plain(int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    if (m > 0 && n > 0 && k > 0) {
      cblas_sgemm(
          CblasRowMajor,
          CblasNoTrans,
          CblasNoTrans,
          m,
          n,
          k,
          1,
          whole(a),
          k,
          whole(b),
          n,
          0,
          whole(c),
          n);
    }
  }

  /** {@code c += transposed(a) b}; a {@code [k, m]}, b {@code [k, n]}, c {@code [m, n]}. */
  public static void addTransposedBy(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    if (m > 0 && n > 0 && k > 0) {
      cblas_sgemm(
          CblasRowMajor,
          CblasTrans,
          CblasNoTrans,
          m,
          n,
          k,
          1,
          whole(a),
          m,
          whole(b),
          n,
          1,
          whole(c),
          n);
    }
  }

  /**
   * The same numbers as positions of their whole array: the presets free that of a slice wrongly.
   */
  private static FloatBuffer whole(FloatBuffer numbers) {
    return numbers.hasArray() && numbers.arrayOffset() != 0
        ? FloatBuffer.wrap(
            numbers.array(), numbers.arrayOffset() + numbers.position(), numbers.remaining())
        : numbers;
  }
}
