package io.expertatlas.runtime.train;

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
  private static final int TOGETHER = 4; // rows that are added in one pass
  private static final ThreadLocal<float[]> LINES = ThreadLocal.withInitial(() -> new float[0]);

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

    float[] line = line();
    for (int at = 0; at < count; ) {
      int out = (first + at) / columns;
      int from = (first + at) % columns;
      int some = Math.min(columns - from, count - at);
      System.arraycopy(sums, at, line, from, some);
      addTo(line, out, from, from + some);
      System.arraycopy(line, from, sums, at, some);
      at += some;
    }
  }

  /** Room of the thread for numbers of one output: loops over one index become vector code. */
  private float[] line() {
    float[] line = LINES.get();
    if (line.length < columns) {
      line = new float[columns];
      LINES.set(line);
    }

    return line;
  }

  private void addTo(float[] line, int out, int from, int end) {
    int row = 0;
    for (; row + TOGETHER <= rows(); row += TOGETHER) {
      addFour(line, row, out, from, end);
    }

    for (; row < rows(); row++) {
      addOne(line, row, out, from, end);
    }
  }

  private void addFour(float[] line, int row, int out, int from, int end) {
    float[] x0 = inputs.get(row);
    float[] x1 = inputs.get(row + 1);
    float[] x2 = inputs.get(row + 2);
    float[] x3 = inputs.get(row + 3);
    float g0 = gradients.get(row)[out];
    float g1 = gradients.get(row + 1)[out];
    float g2 = gradients.get(row + 2)[out];
    float g3 = gradients.get(row + 3)[out];
    for (int i = from; i < end; i++) {
      line[i] += g0 * x0[i] + g1 * x1[i] + g2 * x2[i] + g3 * x3[i];
    }
  }

  private void addOne(float[] line, int row, int out, int from, int end) {
    float[] x = inputs.get(row);
    float g = gradients.get(row)[out];
    for (int i = from; i < end; i++) {
      line[i] += g * x[i];
    }
  }
}
