package io.expertatlas.runtime.matrix;

import java.nio.FloatBuffer;

/** The CPU in doubles: memory is the JVM's, everything is done when a call returns. */
public final class DoubleDevice implements MatrixDevice {
  /** The only one. */
  public static final DoubleDevice INSTANCE = new DoubleDevice();

  private DoubleDevice() {}

  @Override
  public String name() {
    return "cpu in doubles";
  }

  @Override
  public int numberBytes() {
    return Double.BYTES;
  }

  @Override
  public Matrix zeros(int rows, int columns) {
    return new DoubleMatrix(rows, columns);
  }

  @Override
  public Matrix of(int rows, int columns, double[] values) {
    return new DoubleMatrix(rows, columns, values.clone());
  }

  @Override
  public Matrix take(Matrix matrix) {
    return matrix instanceof DoubleMatrix
        ? matrix
        : new DoubleMatrix(matrix.rows(), matrix.columns(), matrix.toHost());
  }

  @Override
  public Matrix load(FloatBuffer values, int rows, int columns) {
    DoubleMatrix copy = new DoubleMatrix(rows, columns);
    for (int i = 0; i < copy.values.length; i++) {
      copy.values[i] = values.get(i);
    }

    return copy;
  }

  @Override
  public void release(Matrix matrix) {}

  @Override
  public void store(Matrix matrix, FloatBuffer into) {
    double[] values = DoubleMatrix.of(matrix).values;
    for (int i = 0; i < values.length; i++) {
      into.put(i, (float) values[i]);
    }
  }

  @Override
  public void synchronize() {}

  @Override
  public void close() {}

  @Override
  public Scope scope() {
    return new CollectedScope();
  }

  @Override
  public Matrix combine(
      Matrix[] sources, int columns, int k, int[] from, int[] rows, double[] weights) {
    DoubleMatrix out = new DoubleMatrix(from.length / k, columns);
    for (int j = 0; j < from.length; j++) {
      double weight = weights == null ? 1 : weights[j];
      double[] values = DoubleMatrix.of(sources[from[j]]).values;
      int at = rows[j] * columns;
      int to = j / k * columns;
      for (int i = 0; i < columns; i++) {
        out.values[to + i] += weight * values[at + i];
      }
    }

    return out;
  }

  @Override
  public double[] products(Matrix matrix, Matrix[] sources, int k, int[] from, int[] rows) {
    double[] left = DoubleMatrix.of(matrix).values;
    int columns = matrix.columns();
    double[] out = new double[from.length];
    for (int j = 0; j < out.length; j++) {
      double[] right = DoubleMatrix.of(sources[from[j]]).values;
      for (int i = 0; i < columns; i++) {
        out[j] += left[j / k * columns + i] * right[rows[j] * columns + i];
      }
    }

    return out;
  }
}
