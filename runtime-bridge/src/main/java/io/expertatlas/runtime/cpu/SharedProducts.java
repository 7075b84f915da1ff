package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.Products.SMALL;
import static io.expertatlas.runtime.cpu.Products.at;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import org.bytedeco.javacpp.FloatPointer;

/**
 * Products with weights that no cache holds, by OpenBLAS on row-major matrices, cut into pieces
 * that are dealt to the {@link ProductThreads}; OpenBLAS computes each on the thread that asks. The
 * cut depends on the shape alone, so results do not depend on the number of threads.
 *
 * <p>Of few rows, each weight should come from memory once, while OpenBLAS first copies weights to
 * another layout. Its kernels for small products do not, so pieces are {@link Products#SMALL}
 * there.
 */
final class SharedProducts {
  /** Weights from which on a product is shared out. */
  private static final long LEAST_WEIGHTS = 1 << 18;

  private static final int OUTPUTS = 32; // of a piece whose weights are copied

  /** Rows up to which weights are read by outputs in small pieces. */
  private static final int FEW_ROWS = 16;

  /** Rows of such a piece: of many inputs more would leave one output. */
  private static final int LOW = 4;

  /** Rows up to which weights are read by inputs, in small pieces up to {@link #FEW_SUMMED}. */
  private static final int MOST_SUMMED = 128;

  private static final int FEW_SUMMED = 32;
  private static final int HIGH = 16; // rows of a small piece
  private static final int WIDTH = 1024; // outputs of a strip
  private static final int TASKS = 64; // about so many pieces of strips are shared out

  private SharedProducts() {}

  /** Whether a product with k x n weights is one for here. */
  static boolean fits(int n, int k) {
    return (long) n * k >= LEAST_WEIGHTS;
  }

  /** {@code c = a transposed(b)}; a {@code [m, k]}, b {@code [n, k]}, c {@code [m, n]}. */
  static void byTransposed(int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c) {
    int block = m <= FEW_ROWS ? Math.min(m, LOW) : m;
    long small = Math.min(Products.MOST_OUTPUTS, SMALL / ((long) block * k));
    int each = m <= FEW_ROWS ? (int) Math.max(1, small) : OUTPUTS;
    share(
        n,
        each,
        (first, count) -> {
          for (int row = 0; row < m; row += block) {
            int rows = Math.min(block, m - row);
            FloatPointer out = at(c, (long) row * n);
            Products.outputs(at(a, (long) row * k), b, rows, k, first, count, n, 0, out);
          }
        });
  }

  /** Consecutive ones of a length. */
  private interface Range {
    void run(int first, int count);
  }

  /** Deals a length out, so many at a time. */
  private static void share(int length, int each, Range work) {
    ProductThreads.split(
        pieces(length, each),
        (from, to) -> {
          for (int first = from * each; first < Math.min(length, to * each); first += each) {
            work.run(first, Math.min(each, length - first));
          }
        });
  }

  private static int pieces(int length, int each) {
    return (length + each - 1) / each;
  }

  /** {@code c += transposed(a) b}; a {@code [k, m]}, b {@code [k, n]}, c {@code [m, n]}. */
  static void addTransposedBy(int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c) {
    share(
        m,
        OUTPUTS,
        (first, count) ->
            cblas_sgemm(
                CblasRowMajor,
                CblasTrans,
                CblasNoTrans,
                count,
                n,
                k,
                1,
                at(a, first),
                m,
                b,
                n,
                1,
                at(c, (long) first * n),
                n));
  }

  /** Numbers of room for {@link #plain}. */
  static int room(int m, int n, int k) {
    return m <= MOST_SUMMED ? Math.multiplyExact(parts(n, k), m * n) : 0;
  }

  /** Parts that the inputs of a strip are cut into: the sums of each have room of their own. */
  private static int parts(int n, int k) {
    return Math.max(1, Math.min(k, TASKS / pieces(n, WIDTH)));
  }

  /**
   * {@code c = a b}; a {@code [m, k]}, b {@code [k, n]}, c {@code [m, n]}.
   *
   * @param room for so many numbers as {@link #room} says
   */
  static void plain(
      int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c, FloatPointer room) {
    if (m > MOST_SUMMED) {
      share(
          n,
          OUTPUTS,
          (first, count) -> multiply(m, count, k, a, k, at(b, first), n, 0, at(c, first), n));
      return;
    }

    int parts = parts(n, k);
    ProductThreads.split(
        pieces(n, WIDTH) * parts,
        (from, to) -> {
          for (int task = from; task < to; task++) {
            int part = task % parts;
            int begin = (int) ((long) k * part / parts);
            int end = (int) ((long) k * (part + 1) / parts);
            int first = task / parts * WIDTH;
            FloatPointer sums = at(room, (long) part * m * n + first);
            strip(m, n, k, Math.min(WIDTH, n - first), begin, end, a, at(b, first), sums);
          }
        });
    ProductThreads.split(m, (from, to) -> sum(from, to, m, n, parts, room, c));
  }

  /** So many outputs from some of the inputs: {@code c[:, 0..width] = a[:, begin..end] b}. */
  private static void strip(
      int m,
      int n,
      int k,
      int width,
      int begin,
      int end,
      FloatPointer a,
      FloatPointer b,
      FloatPointer c) {
    boolean isSmall = m <= FEW_SUMMED;
    int block = isSmall ? Math.min(m, HIGH) : m;
    int each = isSmall ? (int) Math.max(1, SMALL / ((long) block * width)) : end - begin;
    for (int first = begin; first < end; first += each) {
      for (int row = 0; row < m; row += block) {
        multiply(
            Math.min(block, m - row),
            width,
            Math.min(each, end - first),
            at(a, (long) row * k + first),
            k,
            at(b, (long) first * n),
            n,
            first == begin ? 0 : 1,
            at(c, (long) row * n),
            n);
      }
    }
  }

  private static void multiply(
      int m,
      int n,
      int k,
      FloatPointer a,
      int lda,
      FloatPointer b,
      int ldb,
      float beta,
      FloatPointer c,
      int ldc) {
    cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
  }

  /** Rows of c: the sums of all parts, in their order. */
  private static void sum(
      int from, int to, int m, int n, int parts, FloatPointer room, FloatPointer c) {
    float[] sum = new float[n];
    float[] more = new float[n];
    for (int row = from; row < to; row++) {
      at(room, (long) row * n).get(sum);
      for (int part = 1; part < parts; part++) {
        at(room, ((long) part * m + row) * n).get(more);
        for (int i = 0; i < n; i++) {
          sum[i] += more[i];
        }
      }

      at(c, (long) row * n).put(sum);
    }
  }
}
