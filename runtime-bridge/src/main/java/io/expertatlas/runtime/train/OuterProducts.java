package io.expertatlas.runtime.train;

import io.expertatlas.runtime.cpu.FloatProducts;
import io.expertatlas.runtime.matrix.Matrix;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
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
  private final List<Matrix> gradients = new ArrayList<>(); // [row, out] each
  private final List<Matrix> inputs = new ArrayList<>(); // [row, in] each
  private int rows;

  OuterProducts(int columns) {
    this.columns = columns;
  }

  /** Rows that it is made of. */
  int rows() {
    return rows;
  }

  /**
   * Adds {@code transposed(gradient) input}; the matrices, of the host, must not change afterwards.
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

    gradients.add(gradient);
    inputs.add(input);
    rows += input.rows();
  }

  /** Reads so many of the gradient's numbers, row-major from a first one on. */
  void read(int first, float[] into, int count) {
    if (rows == 0) {
      Arrays.fill(into, 0, count, 0);
      return;
    }

    Block block = BLOCKS.get();
    for (int at = 0; at < count; ) {
      at += block.read(this, first + at, into, at, count - at);
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
    private FloatBuffer factors = FloatBuffer.allocate(0); // [row, output]
    private FloatBuffer inputs = FloatBuffer.allocate(0); // strips of [row, column]
    private FloatBuffer strips = FloatBuffer.allocate(0); // of [line, column]

    /** Reads numbers of an output, within a strip; returns how many. */
    int read(OuterProducts from, int number, float[] into, int at, int most) {
      int output = number / from.columns;
      int column = number % from.columns;
      if (of != from || rows != from.rows) {
        take(from);
        compute(output);
      } else if (output < first || output >= first + lines) {
        compute(output);
      }

      int strip = column / width * width;
      int wide = Math.min(width, from.columns - strip);
      int count = Math.min(most, strip + wide - column);
      strips.get(strip * lines + (output - first) * wide + column - strip, into, at, count);
      return count;
    }

    private void take(OuterProducts from) {
      of = from;
      rows = from.rows;
      lines = Math.max(LINES, NUMBERS / from.columns);
      width = Math.max(1, Math.min(from.columns, Integer.highestOneBit(SMALL / (lines * rows))));
      factors = room(factors, lines * rows);
      inputs = room(inputs, rows * from.columns);
      strips = room(strips, lines * from.columns);
      int row = 0;
      for (Matrix matrix : from.inputs) {
        for (int i = 0; i < matrix.rows(); i++, row++) {
          for (int strip = 0; strip < from.columns; strip += width) {
            int wide = Math.min(width, from.columns - strip);
            matrix.copyInto(
                inputs.slice(strip * rows + row * wide, wide), i * from.columns + strip);
          }
        }
      }
    }

    private void compute(int output) {
      first = output;
      int row = 0;
      for (Matrix matrix : of.gradients) {
        int outputs = matrix.columns();
        int some = Math.min(lines, outputs - output); // what is behind them is not read
        for (int i = 0; i < matrix.rows(); i++, row++) {
          matrix.copyInto(factors.slice(row * lines, some), i * outputs + output);
        }
      }

      for (int strip = 0; strip < of.columns; strip += width) {
        int wide = Math.min(width, of.columns - strip);
        FloatProducts.transposedBy(
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
