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
 * another layout. Its kernels for small products (on AVX-512) do not. They multiply single numbers
 * of one operand by 16 neighbours of the other: with the rows of a turned to columns, the
 * neighbours are of as many rows, and weights are read as they are. So products of up to {@value
 * #MOST_TURNED} rows are computed turned, in pieces small enough for those kernels.
 */
final class SharedProducts {
  /** Weights from which on a product is shared out. */
  private static final long LEAST_WEIGHTS = 1 << 18;

  private static final int OUTPUTS = 32; // of a piece whose weights are copied

  /** Rows up to which weights by outputs are read along rows of a, and rows are not filled up. */
  private static final int FEW_ROWS = 4;

  /** Rows up to which a product is computed turned. */
  private static final int MOST_TURNED = 128;

  private static final int BLOCK = 64; // rows turned at a time
  private static final int LANES = 16; // rows that a kernel computes together
  private static final int TURNED_OUTPUTS = 24; // of a piece by outputs
  private static final int CACHED = 1 << 13; // turned numbers that the first cache holds
  private static final int TURNED_INPUTS = 12; // of a piece by inputs: more evict each other
  private static final int SUMS = 1 << 16; // of such a piece
  private static final int TASKS = 48; // about so many pieces by inputs are shared out
  private static final int LINE = 64; // numbers of a row that are turned at a time

  private SharedProducts() {}

  /** Whether a product with k x n weights is one for here. */
  static boolean fits(int n, int k) {
    return (long) n * k >= LEAST_WEIGHTS;
  }

  /** Numbers of room for {@link #byTransposed}. */
  static int roomByTransposed(int m, int n, int k) {
    return m <= FEW_ROWS || m > MOST_TURNED
        ? 0
        : Math.multiplyExact(Math.addExact(k, n), filled(m));
  }

  /**
   * {@code c = a transposed(b)}; a {@code [m, k]}, b {@code [n, k]}, c {@code [m, n]}.
   *
   * @param room for so many numbers as {@link #roomByTransposed} says
   */
  static void byTransposed(
      int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c, FloatPointer room) {
    if (m <= FEW_ROWS || m > MOST_TURNED) {
      long small = Math.min(Products.MOST_OUTPUTS, SMALL / ((long) m * k));
      int each = m <= FEW_ROWS ? (int) Math.max(1, small) : OUTPUTS;
      share(n, each, (first, count) -> Products.outputs(a, b, m, k, first, count, n, 0, c));
      return;
    }

    for (int row = 0; row < m; row += BLOCK) {
      int rows = Math.min(BLOCK, m - row);
      turnedByTransposed(rows, n, k, at(a, (long) row * k), b, at(c, (long) row * n), room);
    }
  }

  private static void turnedByTransposed(
      int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c, FloatPointer room) {
    int rows = filled(m);
    int each = CACHED / rows;
    FloatPointer sums = at(room, (long) k * rows);
    turn(m, k, a, rows, room);
    share(
        n,
        TURNED_OUTPUTS,
        (first, count) -> {
          FloatPointer out = at(sums, (long) first * rows);
          for (int input = 0; input < k; input += each) {
            int inputs = Math.min(each, k - input);
            FloatPointer weights = at(b, (long) first * k + input);
            FloatPointer numbers = at(room, (long) input * rows);
            float beta = input == 0 ? 0 : 1;
            turned(CblasNoTrans, count, rows, inputs, weights, k, numbers, beta, out);
          }
        });
    sum(m, n, rows, 1, sums, c);
  }

  /** Rows of a block with those of zeros that fill it up. */
  private static int filled(int m) {
    return m <= FEW_ROWS ? m : pieces(Math.min(m, BLOCK), LANES) * LANES;
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
    if (m > MOST_TURNED) {
      return 0;
    }

    int rows = filled(m);
    int sums = Math.multiplyExact(pieces(k, inputsOfPart(n, k, rows)), n);
    return Math.multiplyExact(Math.addExact(k, sums), rows);
  }

  /** The inputs of a strip are cut into parts: the sums of each have room of their own. */
  private static int inputsOfPart(int n, int k, int rows) {
    int parts = Math.max(1, TASKS / pieces(n, SUMS / rows));
    return pieces(pieces(k, TURNED_INPUTS), parts) * TURNED_INPUTS;
  }

  /**
   * {@code c = a b}; a {@code [m, k]}, b {@code [k, n]}, c {@code [m, n]}.
   *
   * @param room for so many numbers as {@link #room} says
   */
  static void plain(
      int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c, FloatPointer room) {
    if (m > MOST_TURNED) {
      share(n, OUTPUTS, (first, count) -> copied(m, n, k, a, at(b, first), count, at(c, first)));
      return;
    }

    for (int row = 0; row < m; row += BLOCK) {
      int rows = Math.min(BLOCK, m - row);
      turnedPlain(rows, n, k, at(a, (long) row * k), b, at(c, (long) row * n), room);
    }
  }

  /** So many outputs of n, of many rows. */
  private static void copied(
      int m, int n, int k, FloatPointer a, FloatPointer b, int count, FloatPointer c) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, count, k, 1, a, k, b, n, 0, c, n);
  }

  private static void turnedPlain(
      int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c, FloatPointer room) {
    int rows = filled(m);
    int width = SUMS / rows;
    int each = inputsOfPart(n, k, rows);
    int parts = pieces(k, each);
    FloatPointer sums = at(room, (long) k * rows);
    turn(m, k, a, rows, room);
    ProductThreads.split(
        pieces(n, width) * parts,
        (from, to) -> {
          for (int task = from; task < to; task++) {
            int part = task % parts;
            int first = task / parts * width;
            int count = Math.min(width, n - first);
            FloatPointer out = at(sums, ((long) part * n + first) * rows);
            for (int input = part * each; input < Math.min(k, (part + 1) * each); ) {
              int inputs = Math.min(TURNED_INPUTS, k - input);
              FloatPointer weights = at(b, (long) input * n + first);
              FloatPointer numbers = at(room, (long) input * rows);
              float beta = input == part * each ? 0 : 1;
              turned(CblasTrans, count, rows, inputs, weights, n, numbers, beta, out);
              input += inputs;
            }
          }
        });
    sum(m, n, rows, parts, sums, c);
  }

  /** {@code out = weights numbers + beta * out}; numbers {@code [inputs, rows]}. */
  private static void turned(
      int turn,
      int outputs,
      int rows,
      int inputs,
      FloatPointer weights,
      int ld,
      FloatPointer numbers,
      float beta,
      FloatPointer out) {
    cblas_sgemm(
        CblasRowMajor,
        turn,
        CblasNoTrans,
        outputs,
        rows,
        inputs,
        1,
        weights,
        ld,
        numbers,
        rows,
        beta,
        out,
        rows);
  }

  /** {@code turned = transposed(a)}, with columns of zeros behind; turned {@code [k, rows]}. */
  private static void turn(int m, int k, FloatPointer a, int rows, FloatPointer turned) {
    share(
        k,
        LINE,
        (first, count) -> {
          float[] line = new float[count];
          float[] lines = new float[count * rows];
          for (int row = 0; row < m; row++) {
            at(a, (long) row * k + first).get(line);
            for (int i = 0; i < count; i++) {
              lines[i * rows + row] = line[i];
            }
          }

          at(turned, (long) first * rows).put(lines);
        });
  }

  /** {@code c = transposed(the sum of all parts)}, in their order; a part {@code [n, rows]}. */
  private static void sum(int m, int n, int rows, int parts, FloatPointer sums, FloatPointer c) {
    share(
        n,
        LINE,
        (first, count) -> {
          float[] sum = new float[count * rows];
          float[] more = new float[count * rows];
          at(sums, (long) first * rows).get(sum);
          for (int part = 1; part < parts; part++) {
            at(sums, ((long) part * n + first) * rows).get(more);
            for (int i = 0; i < sum.length; i++) {
              sum[i] += more[i];
            }
          }

          float[] line = new float[count];
          for (int row = 0; row < m; row++) {
            for (int i = 0; i < count; i++) {
              line[i] = sum[i * rows + row];
            }

            at(c, (long) row * n + first).put(line);
          }
        });
  }
}
