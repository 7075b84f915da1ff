package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemv;

import org.bytedeco.javacpp.FloatPointer;

/** Matrix products by OpenBLAS on row-major matrices; {@code ld} is the length of a stored row. */
final class Products {
  /**
   * Up to so many rows are multiplied one by one: a product of matrices first copies the weights to
   * another layout, which costs more than reading them again for each row (README, "Measured").
   */
  static final int FEW_ROWS = 4;

  private Products() {}

  /** {@code out[t] = beta * out[t] + weight x[t]}; x [rows, in], weight [n, in], out [rows, n]. */
  static void linear(
      FloatPointer x, FloatPointer weight, int rows, int in, int n, float beta, FloatPointer out) {
    if (rows <= FEW_ROWS) {
      for (int t = 0; t < rows; t++) {
        vector(weight, n, in, in, at(x, (long) t * in), 1, beta, at(out, (long) t * n));
      }
    } else {
      cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, rows, n, in, 1, x, in, weight, in, beta, out, n);
    }
  }

  /** {@code y = alpha * matrix x + beta * y}; matrix [rows, columns]. */
  static void vector(
      FloatPointer matrix,
      int rows,
      int columns,
      int ld,
      FloatPointer x,
      float alpha,
      float beta,
      FloatPointer y) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, rows, columns, alpha, matrix, ld, x, 1, beta, y, 1);
  }

  /** {@code y = transposed(matrix) x}; matrix [rows, columns], y [columns]. */
  static void transposedVector(
      FloatPointer matrix, int rows, int columns, int ld, FloatPointer x, FloatPointer y) {
    cblas_sgemv(CblasRowMajor, CblasTrans, rows, columns, 1, matrix, ld, x, 1, 0, y, 1);
  }

  /** {@code c = alpha * a transposed(b)}; a [m, k], b [n, k], c [m, n]. */
  static void byTransposed(
      FloatPointer a,
      int lda,
      FloatPointer b,
      int ldb,
      int m,
      int n,
      int k,
      float alpha,
      FloatPointer c,
      int ldc) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, alpha, a, lda, b, ldb, 0, c, ldc);
  }

  /** {@code c = a b}; a [m, k], b [k, n], c [m, n]. */
  static void plain(
      FloatPointer a,
      int lda,
      FloatPointer b,
      int ldb,
      int m,
      int n,
      int k,
      FloatPointer c,
      int ldc) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, lda, b, ldb, 0, c, ldc);
  }

  static FloatPointer at(FloatPointer pointer, long elements) {
    return elements == 0
        ? pointer
        : new FloatPointer(pointer).position(pointer.position() + elements);
  }
}
