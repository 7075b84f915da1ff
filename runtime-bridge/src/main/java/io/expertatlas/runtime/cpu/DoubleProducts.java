package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_dgemm;

/**
 * Matrix products in doubles by OpenBLAS, on row-major arrays. Safe for several threads. The same
 * operands give the same bits as long as the number of OpenBLAS's threads stays.
 */
public final class DoubleProducts {
  private DoubleProducts() {}

  /** {@code c = a transposed(b)}; a {@code [m, k]}, b {@code [n, k]}, c {@code [m, n]}. */
  public static void byTransposed(int m, int n, int k, double[] a, double[] b, double[] c) {
    if (m > 0 && n > 0 && k > 0) {
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, a, k, b, k, 0, c, n);
    }
  }

  /** {@code c = a b}; a {@code [m, k]}, b {@code [k, n]}, c {@code [m, n]}. */
  public static void plain(int m, int n, int k, double[] a, double[] b, double[] c) {
    if (m > 0 && n > 0 && k > 0) {
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, k, b, n, 0, c, n);
    }
  }

  /** {@code c += transposed(a) b}; a {@code [k, m]}, b {@code [k, n]}, c {@code [m, n]}. */
  public static void addTransposedBy(int m, int n, int k, double[] a, double[] b, double[] c) {
    if (m > 0 && n > 0 && k > 0) {
      cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, a, m, b, n, 1, c, n);
    }
  }
}
