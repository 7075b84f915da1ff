package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import org.bytedeco.javacpp.FloatPointer;

/**
 * Matrix products by OpenBLAS on row-major matrices; {@code ld} is the length of a stored row.
 *
 * <p>A product of few rows reads each weight once or twice from memory and should take no longer
 * than that. OpenBLAS has kernels for small products that do so, while larger ones first copy the
 * weights to another layout. So products of few rows are cut into small ones, {@link #SMALL}
 * multiplications each, by outputs. The cut depends on the shape alone, so results do not depend on
 * the number of threads.
 */
final class Products {
  /** Above so many rows the copy of the weights pays (README, "Measured"). */
  private static final int FEW_ROWS = 16;

  /** Multiplications of a product that OpenBLAS runs on one thread without copies. */
  static final long SMALL = 200_000;

  /** Outputs of a piece: with more, rows of 32 to 128 numbers take two to three times as long. */
  static final int MOST_OUTPUTS = 256;

  private static final int LEAST_OUTPUTS = 4;

  /** Multiplications of few rows that are worth waking other threads for: 16 MB of weights. */
  private static final long LARGE = 4_000_000;

  private Products() {}

  /** {@code out[t] = beta * out[t] + weight x[t]}; x [rows, in], weight [n, in], out [rows, n]. */
  static void linear(
      FloatPointer x, FloatPointer weight, int rows, int in, int n, float beta, FloatPointer out) {
    int each = outputsOfPiece(rows, n, in);
    if (each == n) {
      outputs(x, weight, rows, in, 0, n, n, beta, out);
      return;
    }

    int pieces = (n + each - 1) / each;
    if ((long) rows * in * n < LARGE) {
      pieces(x, weight, rows, in, n, each, 0, pieces, beta, out);
    } else {
      ProductThreads.split(
          pieces, (from, to) -> pieces(x, weight, rows, in, n, each, from, to, beta, out));
    }
  }

  private static void pieces(
      FloatPointer x,
      FloatPointer weight,
      int rows,
      int in,
      int n,
      int each,
      int from,
      int to,
      float beta,
      FloatPointer out) {
    for (int piece = from; piece < to; piece++) {
      int first = piece * each;
      outputs(x, weight, rows, in, first, Math.min(each, n - first), n, beta, out);
    }
  }

  /** Outputs {@code first} to {@code first + count} of n. */
  static void outputs(
      FloatPointer x,
      FloatPointer weight,
      int rows,
      int in,
      int first,
      int count,
      int n,
      float beta,
      FloatPointer out) {
    FloatPointer part = at(weight, (long) first * in);
    cblas_sgemm(
        CblasRowMajor,
        CblasNoTrans,
        CblasTrans,
        rows,
        count,
        in,
        1,
        x,
        in,
        part,
        in,
        beta,
        at(out, first),
        n);
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
    int each = outputsOfPiece(m, n, k);
    for (int first = 0; first < n; first += each) {
      cblas_sgemm(
          CblasRowMajor,
          CblasNoTrans,
          CblasTrans,
          m,
          Math.min(each, n - first),
          k,
          alpha,
          a,
          lda,
          at(b, (long) first * ldb),
          ldb,
          0,
          at(c, first),
          ldc);
    }
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
    int each = piece(m, k, n);
    for (int first = 0; first < k; first += each) {
      cblas_sgemm(
          CblasRowMajor,
          CblasNoTrans,
          CblasNoTrans,
          m,
          n,
          Math.min(each, k - first),
          1,
          at(a, first),
          lda,
          at(b, (long) first * ldb),
          ldb,
          first == 0 ? 0 : 1,
          c,
          ldc);
    }
  }

  /** Outputs of a piece; all of them where pieces would be too small to gain. */
  private static int outputsOfPiece(int rows, int n, int in) {
    int each = piece(rows, n, in);
    return rows > FEW_ROWS || each < LEAST_OUTPUTS ? n : Math.min(MOST_OUTPUTS, each);
  }

  /** How much of a length a small product takes, of so many rows, across another length. */
  private static int piece(int rows, int length, int across) {
    return rows > FEW_ROWS
        ? length
        : (int) Math.max(1, Math.min(length, SMALL / ((long) rows * across)));
  }

  static FloatPointer at(FloatPointer pointer, long elements) {
    return elements == 0
        ? pointer
        : new FloatPointer(pointer).position(pointer.position() + elements);
  }
}
