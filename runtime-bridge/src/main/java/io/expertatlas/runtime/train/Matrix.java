package io.expertatlas.runtime.train;

import io.expertatlas.runtime.cpu.DoubleProducts;

/** A row-major matrix of doubles. Mutable; who makes one owns it. */
final class Matrix {
  final int rows;
  final int columns;
  final double[] values; // [rows][columns]

  Matrix(int rows, int columns) {
    this(rows, columns, new double[Math.multiplyExact(rows, columns)]);
  }

  Matrix(int rows, int columns, double[] values) {
    if (values.length != (long) rows * columns) {
      throw new IllegalArgumentException(
          "Invalid matrix: %d x %d of %d numbers".formatted(rows, columns, values.length));
    }

    this.rows = rows;
    this.columns = columns;
    this.values = values;
  }

  long bytes() {
    return (long) values.length * Double.BYTES;
  }

  double at(int row, int column) {
    return values[row * columns + column];
  }

  /** This [t, in] through a linear layer [n, in]: [t, n]. */
  Matrix linear(Matrix weight) {
    check(columns == weight.columns, weight);
    Matrix out = new Matrix(rows, weight.rows);
    DoubleProducts.byTransposed(rows, weight.rows, columns, values, weight.values, out.values);
    return out;
  }

  /** This [t, n] times [n, in]: [t, in]; a linear layer's gradient of its input. */
  Matrix times(Matrix other) {
    check(columns == other.rows, other);
    Matrix out = new Matrix(rows, other.columns);
    DoubleProducts.plain(rows, other.columns, columns, values, other.values, out.values);
    return out;
  }

  /** Adds transposed(gradient [t, n]) input [t, in] to this [n, in]: that of a linear layer. */
  void addOuter(Matrix gradient, Matrix input) {
    gradient.check(gradient.rows == input.rows, input);
    check(rows == gradient.columns && columns == input.columns, input);
    DoubleProducts.addTransposedBy(
        rows, columns, input.rows, gradient.values, input.values, values);
  }

  /** Adds another of the same shape to this one. */
  Matrix add(Matrix other) {
    check(rows == other.rows && columns == other.columns, other);
    for (int i = 0; i < values.length; i++) {
      values[i] += other.values[i];
    }

    return this;
  }

  /** Adds a row [1, columns] to each row. */
  Matrix addRow(Matrix row) {
    check(row.values.length == columns, row);
    for (int i = 0; i < values.length; i++) {
      values[i] += row.values[i % columns];
    }

    return this;
  }

  /** Adds the sum of another's rows to this row [1, columns]: the gradient of {@link #addRow}. */
  void addRowsOf(Matrix other) {
    check(values.length == other.columns, other);
    for (int i = 0; i < other.values.length; i++) {
      values[i % values.length] += other.values[i];
    }
  }

  /** Rows by their index: [indices, columns]. */
  Matrix gather(int[] indices) {
    Matrix out = new Matrix(indices.length, columns);
    for (int i = 0; i < indices.length; i++) {
      System.arraycopy(values, indices[i] * columns, out.values, i * columns, columns);
    }

    return out;
  }

  private void check(boolean fits, Matrix other) {
    if (!fits) {
      throw new IllegalArgumentException(
          "Matrices do not fit: %d x %d and %d x %d"
              .formatted(rows, columns, other.rows, other.columns));
    }
  }
}
