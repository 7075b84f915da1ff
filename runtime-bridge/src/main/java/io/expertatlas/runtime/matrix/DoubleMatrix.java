package io.expertatlas.runtime.matrix;

import io.expertatlas.runtime.cpu.DoubleProducts;
import java.util.Arrays;

/** A row-major matrix of doubles in the memory of the JVM. Mutable; who makes one owns it. */
final class DoubleMatrix implements Matrix {
  final int rows;
  final int columns;
  final double[] values; // [rows][columns]

  DoubleMatrix(int rows, int columns) {
    this(rows, columns, new double[Math.multiplyExact(rows, columns)]);
  }

  DoubleMatrix(int rows, int columns, double[] values) {
    if (values.length != (long) rows * columns) {
      throw new IllegalArgumentException(
          "Invalid matrix: %d x %d of %d numbers".formatted(rows, columns, values.length));
    }

    this.rows = rows;
    this.columns = columns;
    this.values = values;
  }

  static DoubleMatrix of(Matrix matrix) {
    return (DoubleMatrix) matrix;
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public MatrixDevice device() {
    return DoubleDevice.INSTANCE;
  }

  @Override
  public double[] toHost() {
    return values.clone();
  }

  @Override
  public Matrix linear(Matrix weight) {
    DoubleMatrix w = of(weight);
    check(columns == w.columns, w);
    DoubleMatrix out = new DoubleMatrix(rows, w.rows);
    DoubleProducts.byTransposed(rows, w.rows, columns, values, w.values, out.values);
    return out;
  }

  @Override
  public Matrix linear(Matrix weight, Matrix bias) {
    DoubleMatrix out = of(linear(weight));
    DoubleMatrix row = of(bias);
    of(weight).check(row.values.length == out.columns, row);
    Arrays.setAll(out.values, i -> out.values[i] + row.values[i % out.columns]);
    return out;
  }

  @Override
  public Matrix linearRelu(Matrix weight, Matrix bias) {
    DoubleMatrix out = of(linear(weight, bias));
    Arrays.setAll(out.values, i -> Math.max(0, out.values[i]));
    return out;
  }

  @Override
  public Matrix times(Matrix other) {
    DoubleMatrix right = of(other);
    check(columns == right.rows, right);
    DoubleMatrix out = new DoubleMatrix(rows, right.columns);
    DoubleProducts.plain(rows, right.columns, columns, values, right.values, out.values);
    return out;
  }

  @Override
  public void addOuter(Matrix gradient, Matrix input) {
    DoubleMatrix down = of(gradient);
    DoubleMatrix in = of(input);
    down.check(down.rows == in.rows, in);
    check(rows == down.columns && columns == in.columns, in);
    DoubleProducts.addTransposedBy(rows, columns, in.rows, down.values, in.values, values);
  }

  @Override
  public Matrix add(Matrix other) {
    DoubleMatrix more = of(other);
    check(rows == more.rows && columns == more.columns, more);
    for (int i = 0; i < values.length; i++) {
      values[i] += more.values[i];
    }

    return this;
  }

  @Override
  public void addRowsOf(Matrix other) {
    DoubleMatrix more = of(other);
    check(values.length == more.columns, more);
    for (int i = 0; i < more.values.length; i++) {
      values[i % values.length] += more.values[i];
    }
  }

  @Override
  public Matrix gather(int[] indices) {
    DoubleMatrix out = new DoubleMatrix(indices.length, columns);
    for (int i = 0; i < indices.length; i++) {
      System.arraycopy(values, indices[i] * columns, out.values, i * columns, columns);
    }

    return out;
  }

  @Override
  public Matrix gather(int[] indices, double[] weights) {
    DoubleMatrix out = of(gather(indices));
    for (int i = 0; i < out.values.length; i++) {
      out.values[i] *= weights[i / columns];
    }

    return out;
  }

  @Override
  public void addRowsAt(int[] indices, Matrix rowsOf) {
    DoubleMatrix more = of(rowsOf);
    check(more.rows == indices.length && columns == more.columns, more);
    for (int row = 0; row < indices.length; row++) {
      for (int i = 0; i < columns; i++) {
        values[indices[row] * columns + i] += more.values[row * columns + i];
      }
    }
  }

  @Override
  public Matrix rowProducts(Matrix other) {
    DoubleMatrix right = of(other);
    check(columns == right.columns && (rows == right.rows || right.rows == 1), right);
    DoubleMatrix out = new DoubleMatrix(rows, 1);
    for (int row = 0; row < rows; row++) {
      int at = right.rows == 1 ? 0 : row * columns;
      for (int i = 0; i < columns; i++) {
        out.values[row] += values[row * columns + i] * right.values[at + i];
      }
    }

    return out;
  }

  @Override
  public Matrix linearReluBackward(Matrix result, Matrix biasGradient) {
    DoubleMatrix inner = of(result);
    check(rows == inner.rows && columns == inner.columns, inner);
    Arrays.setAll(values, i -> inner.values[i] > 0 ? values[i] : 0);
    biasGradient.addRowsOf(this);
    return rowProducts(inner);
  }

  @Override
  public Matrix swiglu(Matrix up) {
    DoubleMatrix right = of(up);
    check(rows == right.rows && columns == right.columns, right);
    DoubleMatrix out = new DoubleMatrix(rows, columns);
    for (int i = 0; i < values.length; i++) {
      out.values[i] = values[i] * sigmoid(values[i]) * right.values[i];
    }

    return out;
  }

  @Override
  public SwigluGradients swigluBackward(Matrix up, Matrix gradient) {
    DoubleMatrix right = of(up);
    DoubleMatrix down = of(gradient);
    check(rows == down.rows && columns == down.columns, down);
    DoubleMatrix gateGradient = new DoubleMatrix(rows, columns);
    DoubleMatrix upGradient = new DoubleMatrix(rows, columns);
    for (int i = 0; i < values.length; i++) {
      double sigmoid = sigmoid(values[i]);
      double silu = values[i] * sigmoid;
      upGradient.values[i] = down.values[i] * silu;
      gateGradient.values[i] =
          down.values[i] * (right.values[i] * (sigmoid + silu * (1 - sigmoid)));
    }

    return new SwigluGradients(gateGradient, upGradient);
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  @Override
  public Matrix rmsNorm(Matrix gain, double epsilon) {
    return Norms.rms(this, of(gain), epsilon);
  }

  @Override
  public Matrix rmsNormBackward(Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient) {
    return Norms.rmsBackward(this, of(gain), epsilon, of(gradient), of(gainGradient));
  }

  @Override
  public Matrix layerNorm(Matrix gain, Matrix bias, double epsilon) {
    return Norms.layer(this, of(gain), of(bias), epsilon);
  }

  @Override
  public Matrix layerNormBackward(
      Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient, Matrix biasGradient) {
    return Norms.layerBackward(
        this, of(gain), epsilon, of(gradient), of(gainGradient), of(biasGradient));
  }

  @Override
  public void turn(Rotary rotary, int length, boolean backwards) {
    double[] cosines = rotary.cosines(length);
    double[] sines = rotary.sines(length, backwards);
    int half = rotary.headSize() / 2;
    for (int row = 0; row < rows; row++) {
      int table = row % length * half;
      for (int head = 0; head < columns; head += rotary.headSize()) {
        int at = row * columns + head;
        for (int i = 0; i < half; i++) {
          double first = values[at + i];
          double second = values[at + half + i];
          values[at + i] = first * cosines[table + i] - second * sines[table + i];
          values[at + half + i] = second * cosines[table + i] + first * sines[table + i];
        }
      }
    }
  }

  @Override
  public Matrix attend(Heads heads, Matrix keys, Matrix values, int length) {
    return new CausalAttention(heads).forward(this, of(keys), of(values), length);
  }

  @Override
  public AttentionGradients attendBackward(
      Heads heads, Matrix keys, Matrix values, int length, Matrix gradient) {
    return new CausalAttention(heads).backward(this, of(keys), of(values), length, of(gradient));
  }

  @Override
  public double crossEntropy(int[] targets, double scale) {
    return CrossEntropy.intoGradient(this, targets, scale);
  }

  double at(int row, int column) {
    return values[row * columns + column];
  }

  private void check(boolean fits, DoubleMatrix other) {
    if (!fits) {
      throw new IllegalArgumentException(
          "Matrices do not fit: %d x %d and %d x %d"
              .formatted(rows, columns, other.rows, other.columns));
    }
  }
}
