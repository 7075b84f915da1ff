package io.expertatlas.runtime.train;

import io.expertatlas.runtime.cpu.FloatProducts;
import io.expertatlas.runtime.matrix.Matrix;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * The gradient of a weight {@code [out, in]} of few rows, not written out: the rows that it is the
 * sum of outer products of. They take less memory than the gradient, and who reads it computes
 * sooner than its numbers would come from memory. Mutable; who shares it between threads orders
 * them.
 */
final class OuterProducts {
  private static final ThreadLocal<Block> BLOCKS = ThreadLocal.withInitial(Block::new);

  private final int columns;
  private final List<float[]> gradients = new ArrayList<>(); // [out] of each row
  private final List<float[]> inputs = new ArrayList<>(); // [in] of each row

  OuterProducts(int columns) {
    this.columns = columns;
  }

  /** Rows that it is made of. */
  int rows() {
    return inputs.size();
  }

  /**
   * Adds {@code transposed(gradient) input}; the matrices may change afterwards.
   *
   * @param gradient {@code [row, out]}
   * @param input {@code [row, in]}
   */
  void add(Matrix gradient, Matrix input) {
    if (gradient.rows() != input.rows() || input.columns() != columns) {
      throw new IllegalArgumentException(
          "Matrices do not fit: %d x %d and %d x %d, columns of the gradient %d"
              .formatted(
                  gradient.rows(), gradient.columns(), input.rows(), input.columns(), columns));
    }

    for (int row = 0; row < input.rows(); row++) {
      gradients.add(row(gradient, row));
      inputs.add(row(input, row));
    }
  }

  private static float[] row(Matrix matrix, int row) {
    float[] numbers = new float[matrix.columns()];
    matrix.copyInto(FloatBuffer.wrap(numbers), row * matrix.columns());
    return numbers;
  }

  /** Adds so many of the gradient's numbers, row-major from a first one on, to an array's. */
  void addTo(float[] sums, int first, int count) {
    if (rows() == 0) {
      return;
    }

    Block block = BLOCKS.get();
    for (int at = 0; at < count; ) {
      at += block.addTo(sums, at, count - at, this, first + at);
    }
  }

  /**
   * Some consecutive outputs of a gradient, written out in the cache of a thread: who reads one
   * soon reads the next. They are computed in strips, products so small that OpenBLAS does not copy
   * their factors.
   */
  private static final class Block {
    private static final int NUMBERS = 1 << 13; // about so many, at least LINES outputs
    private static final int LINES = 8;
    private static final int SMALL = 1 << 18; // multiplications of a strip

    private OuterProducts of;
    private int rows;
    private int width; // of a strip
    private int lines;
    private int first; // output
    private float[] some = new float[0];
    private float[] zeros = new float[0];
    private FloatBuffer factors = FloatBuffer.allocate(0); // [row, line]
    private FloatBuffer inputs = FloatBuffer.allocate(0); // strips of [row, column]
    private FloatBuffer strips = FloatBuffer.allocate(0); // of [line, column]

    /** Adds numbers of an output, within a strip; returns how many. */
    int addTo(float[] into, int at, int most, OuterProducts from, int number) {
      int output = number / from.columns;
      int column = number % from.columns;
      if (of != from || rows != from.rows()) {
        take(from);
        compute(output);
      } else if (output < first || output >= first + lines) {
        compute(output);
      }

      int strip = column / width * width;
      int wide = Math.min(width, from.columns - strip);
      int count = Math.min(most, strip + wide - column);
      if (some.length < at + count) {
        some = new float[into.length];
      }

      strips.get(strip * lines + (output - first) * wide + column - strip, some, at, count);
      for (int i = at; i < at + count; i++) { // one index, so that it becomes vector code
        into[i] += some[i];
      }

      return count;
    }

    private void take(OuterProducts from) {
      of = from;
      rows = from.rows();
      lines = Math.max(LINES, NUMBERS / from.columns);
      width = Math.max(1, Math.min(from.columns, Integer.highestOneBit(SMALL / (lines * rows))));
      factors = room(factors, lines * rows);
      inputs = room(inputs, rows * from.columns);
      strips = room(strips, lines * from.columns);
      zeros = new float[lines * from.columns];
      for (int strip = 0; strip < from.columns; strip += width) {
        int wide = Math.min(width, from.columns - strip);
        for (int row = 0; row < rows; row++) {
          inputs.put(strip * rows + row * wide, from.inputs.get(row), strip, wide);
        }
      }
    }

    private void compute(int output) {
      first = output;
      for (int row = 0; row < rows; row++) {
        float[] gradient = of.gradients.get(row);
        for (int line = 0; line < lines; line++) {
          int one = output + line;
          factors.put(row * lines + line, one < gradient.length ? gradient[one] : 0);
        }
      }

      strips.put(0, zeros);
      for (int strip = 0; strip < of.columns; strip += width) {
        int wide = Math.min(width, of.columns - strip);
        FloatProducts.addTransposedBy(
            lines,
            wide,
            rows,
            factors,
            inputs.slice(strip * rows, rows * wide),
            strips.slice(strip * lines, lines * wide));
      }
    }

    private static FloatBuffer room(FloatBuffer room, int count) {
      return room.capacity() < count ? FloatProducts.allocate(count) : room;
    }
  }
}
