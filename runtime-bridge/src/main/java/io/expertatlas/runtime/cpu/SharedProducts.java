package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.Products.SMALL;
import static io.expertatlas.runtime.cpu.Products.at;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import java.nio.FloatBuffer;
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

  private static final int MOST_BLOCK = 64; // rows turned at a time
  private static final int LANES = 16; // rows that a kernel computes together
  private static final int TURNED_OUTPUTS = 24; // of a piece by outputs
  private static final int CACHED = 1 << 13; // turned numbers that the first cache holds
  private static final int TURNED_INPUTS = 12; // of a piece by inputs: more evict each other
  private static final int SUMS = 1 << 15; // of such a piece
  private static final int TASKS = 48; // about so many pieces by inputs are shared out
  private static final int TURNED = 64; // numbers of a row that are turned at a time

  private SharedProducts() {}

  /** Whether a product with k x n weights is one for here. */
  static boolean fits(int n, int k) {
    return (long) n * k >= LEAST_WEIGHTS;
  }

  /**
   * Whether a product of m rows is computed turned: operands other than the weights are then turned
   * to and from room of its own, and may be on the heap.
   */
  static boolean isTurned(int m) {
    return m > FEW_ROWS && m <= MOST_TURNED;
  }

  /** Numbers of room for {@link #byTransposed}. */
  static int roomOfByTransposed(int m, int n, int k) {
    return isTurned(m) ? Math.multiplyExact(Math.addExact(k, n), filled(m)) : 0;
  }

  /**
   * {@code c = a transposed(b)}; a {@code [m, k]}, b {@code [n, k]}, c {@code [m, n]}.
   *
   * @param room for so many numbers as {@link #roomOfByTransposed} says
   */
  static void byTransposed(
      int m, int n, int k, FloatBuffer a, FloatPointer b, FloatBuffer c, FloatBuffer room) {
    if (!isTurned(m)) {
      long small = Math.min(Products.MOST_OUTPUTS, SMALL / ((long) m * k));
      int each = m <= FEW_ROWS ? (int) Math.max(1, small) : OUTPUTS;
      FloatPointer x = new FloatPointer(a);
      FloatPointer out = new FloatPointer(c);
      SharedWork.inPieces(
          n, each, (first, end) -> Products.outputs(x, b, m, k, first, end - first, n, 0, out));
      return;
    }

    inBlocks(
        m,
        n,
        k,
        a,
        c,
        (some, x, out) -> turnedByTransposed(some, filled(m), n, k, x, b, out, room));
  }

  /** Work on rows of a product. */
  private interface Block {
    void run(int rows, FloatBuffer a, FloatBuffer c);
  }

  private static void inBlocks(int m, int n, int k, FloatBuffer a, FloatBuffer c, Block work) {
    int block = block(m);
    for (int row = 0; row < m; row += block) {
      int some = Math.min(block, m - row);
      work.run(some, rows(a, row, some, k), rows(c, row, some, n));
    }
  }

  private static FloatBuffer rows(FloatBuffer matrix, int first, int count, int columns) {
    return matrix.slice(first * columns, count * columns);
  }

  private static void turnedByTransposed(
      int m,
      int rows,
      int n,
      int k,
      FloatBuffer a,
      FloatPointer b,
      FloatBuffer c,
      FloatBuffer room) {
    int each = CACHED / rows;
    FloatPointer turned = new FloatPointer(room);
    FloatPointer sums = at(turned, (long) k * rows);
    turn(m, k, a, rows, room);
    SharedWork.inPieces(
        n,
        TURNED_OUTPUTS,
        (first, end) -> {
          int count = end - first;
          FloatPointer out = at(sums, (long) first * rows);
          for (int input = 0; input < k; input += each) {
            int inputs = Math.min(each, k - input);
            FloatPointer weights = at(b, (long) first * k + input);
            FloatPointer numbers = at(turned, (long) input * rows);
            float beta = input == 0 ? 0 : 1;
            multiply(CblasNoTrans, count, rows, inputs, weights, k, numbers, beta, out);
          }

          float[] made = new float[count * rows];
          room.get((k + first) * rows, made);
          turnBack(m, n, first, made, rows, c);
        });
  }

  /** Rows that are turned at a time: blocks are about as high as each other. */
  private static int block(int m) {
    return pieces(m, pieces(m, MOST_BLOCK));
  }

  /** Rows of a block with those of zeros that fill it up: as many for the last block. */
  private static int filled(int m) {
    return m <= FEW_ROWS ? m : pieces(block(m), LANES) * LANES;
  }

  private static int pieces(int length, int each) {
    return (length + each - 1) / each;
  }

  /** {@code c += transposed(a) b}; a {@code [k, m]}, b {@code [k, n]}, c {@code [m, n]}. */
  static void addTransposedBy(int m, int n, int k, FloatPointer a, FloatPointer b, FloatPointer c) {
    SharedWork.inPieces(
        m,
        OUTPUTS,
        (first, end) ->
            cblas_sgemm(
                CblasRowMajor,
                CblasTrans,
                CblasNoTrans,
                end - first,
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
  static int roomOfPlain(int m, int n, int k) {
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
   * @param room for so many numbers as {@link #roomOfPlain} says
   */
  static void plain(
      int m, int n, int k, FloatBuffer a, FloatPointer b, FloatBuffer c, FloatBuffer room) {
    if (m > MOST_TURNED) {
      FloatPointer x = new FloatPointer(a);
      FloatPointer out = new FloatPointer(c);
      SharedWork.inPieces(
          n,
          OUTPUTS,
          (first, end) -> copied(m, n, k, x, at(b, first), end - first, at(out, first)));
      return;
    }

    inBlocks(m, n, k, a, c, (some, x, out) -> turnedPlain(some, filled(m), n, k, x, b, out, room));
  }

  /** So many outputs of n, of many rows. */
  private static void copied(
      int m, int n, int k, FloatPointer a, FloatPointer b, int count, FloatPointer c) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, count, k, 1, a, k, b, n, 0, c, n);
  }

  private static void turnedPlain(
      int m,
      int rows,
      int n,
      int k,
      FloatBuffer a,
      FloatPointer b,
      FloatBuffer c,
      FloatBuffer room) {
    int width = SUMS / rows;
    int each = inputsOfPart(n, k, rows);
    int parts = pieces(k, each);
    FloatPointer turned = new FloatPointer(room);
    FloatPointer sums = at(turned, (long) k * rows);
    turn(m, k, a, rows, room);
    ProductThreads.split(
        pieces(n, width) * parts,
        (from, to) -> {
          for (int task = from; task < to; task++) {
            int part = task % parts;
            int begin = part * each;
            int end = Math.min(k, begin + each);
            int first = task / parts * width;
            int count = Math.min(width, n - first);
            FloatPointer out = at(sums, ((long) part * n + first) * rows);
            for (int input = begin; input < end; input += TURNED_INPUTS) {
              int inputs = Math.min(TURNED_INPUTS, end - input);
              FloatPointer weights = at(b, (long) input * n + first);
              FloatPointer numbers = at(turned, (long) input * rows);
              float beta = input == begin ? 0 : 1;
              multiply(CblasTrans, count, rows, inputs, weights, n, numbers, beta, out);
            }
          }
        });
    sum(m, n, rows, parts, room.slice(k * rows, parts * n * rows), c);
  }

  /** {@code out = weights numbers + beta * out}; numbers {@code [inputs, rows]}. */
  private static void multiply(
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
  private static void turn(int m, int k, FloatBuffer a, int rows, FloatBuffer turned) {
    SharedWork.inPieces(
        k,
        TURNED,
        (first, end) -> {
          int count = end - first;
          float[] line = new float[count];
          float[] lines = new float[count * rows];
          for (int row = 0; row < m; row++) {
            a.get(row * k + first, line);
            for (int i = 0; i < count; i++) {
              lines[i * rows + row] = line[i];
            }
          }

          turned.put(first * rows, lines);
        });
  }

  /** {@code c = transposed(the sum of all parts)}, in their order; a part {@code [n, rows]}. */
  private static void sum(int m, int n, int rows, int parts, FloatBuffer sums, FloatBuffer c) {
    SharedWork.inPieces(
        n,
        TURNED,
        (first, end) -> {
          int count = end - first;
          float[] sum = new float[count * rows];
          float[] more = new float[count * rows];
          sums.get(first * rows, sum);
          for (int part = 1; part < parts; part++) {
            sums.get((part * n + first) * rows, more);
            for (int i = 0; i < sum.length; i++) {
              sum[i] += more[i];
            }
          }

          turnBack(m, n, first, sum, rows, c);
        });
  }

  /**
   * So many outputs from a first one on: {@code c = transposed(turned)}; turned [outputs, rows].
   */
  private static void turnBack(int m, int n, int first, float[] turned, int rows, FloatBuffer c) {
    float[] line = new float[turned.length / rows];
    for (int row = 0; row < m; row++) {
      for (int i = 0; i < line.length; i++) {
        line[i] = turned[i * rows + row];
      }

      c.put(row * n + first, line);
    }
  }
}
