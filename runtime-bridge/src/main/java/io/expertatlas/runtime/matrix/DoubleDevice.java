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
  public Matrix combine(Matrix[] sources, int columns, Choices choices, double[] weights) {
    DoubleMatrix out = new DoubleMatrix(choices.tokens(), columns);
    for (int j = 0; j < choices.from().length; j++) {
      double weight = weights == null ? 1 : weights[j];
      double[] values = DoubleMatrix.of(sources[choices.from()[j]]).values;
      int at = choices.rows()[j] * columns;
      int to = j / choices.each() * columns;
      for (int i = 0; i < columns; i++) {
        out.values[to + i] += weight * values[at + i];
      }
    }

    return out;
  }

  @Override
  public Matrix logitsGradient(Matrix[] along, Choices choices, double[] shares, boolean ofChosen) {
    int experts = along.length;
    MatrixDevice.checkShares(experts, choices, shares, ofChosen);
    DoubleMatrix out = new DoubleMatrix(choices.tokens(), experts);
    int[] from = choices.from();
    int each = choices.each();
    for (int t = 0; t < out.rows; t++) {
      double[] of = new double[each];
      double sum = 0;
      for (int j = 0; j < each; j++) {
        int choice = t * each + j;
        of[j] = DoubleMatrix.of(along[from[choice]]).values[choices.rows()[choice]];
        sum += of[j];
      }

      for (int expert = 0; !ofChosen && expert < experts; expert++) {
        out.values[t * experts + expert] = -shares[t * experts + expert] * sum;
      }

      for (int j = 0; j < each; j++) {
        int choice = t * each + j;
        out.values[t * experts + from[choice]] += ofChosen ? of[j] - shares[choice] * sum : of[j];
      }
    }

    return out;
  }
}
