package io.expertatlas.runtime.matrix;

import io.expertatlas.runtime.cpu.FloatProducts;
import io.expertatlas.runtime.cpu.SharedWork;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.function.BiConsumer;

/**
 * A row-major matrix of floats in the memory of the host, on the heap or outside it. Sums over a
 * row are doubles. Mutable; who makes one owns it.
 */
final class FloatMatrix implements Matrix {
  final int rows;
  final int columns;
  final boolean isPooled;
  FloatBuffer values; // [rows][columns], from 0; nothing when given up

  FloatMatrix(int rows, int columns) {
    this(rows, columns, FloatBuffer.allocate(Math.multiplyExact(rows, columns)), false);
  }

  /** A view of numbers, of the device's pool or somebody else's. */
  FloatMatrix(int rows, int columns, FloatBuffer values, boolean isPooled) {
    this.rows = rows;
    this.columns = columns;
    this.values = values;
    this.isPooled = isPooled;
  }

  /** Its memory, for others: it has none from now on. */
  FloatBuffer giveUp() {
    FloatBuffer given = values;
    values = FloatBuffer.allocate(0);
    return given;
  }

  static FloatMatrix of(Matrix matrix) {
    return (FloatMatrix) matrix;
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
    return FloatDevice.INSTANCE;
  }

  @Override
  public double[] toHost() {
    double[] out = new double[rows * columns];
    Arrays.setAll(out, values::get);
    return out;
  }

  @Override
  public void copyInto(FloatBuffer into, int first) {
    into.duplicate().put(values.slice(first, into.remaining()));
  }

  /** Numbers of a row, into an array of as many. */
  void read(int row, float[] into) {
    values.get(row * columns, into);
  }

  void write(int row, float[] from) {
    values.put(row * columns, from);
  }

  float at(int row, int column) {
    return values.get(row * columns + column);
  }

  float[] toArray() {
    float[] out = new float[rows * columns];
    values.get(0, out);
    return out;
  }

  @Override
  public Matrix linear(Matrix weight) {
    FloatMatrix w = of(weight);
    check(columns == w.columns, w);
    FloatMatrix out = new FloatMatrix(rows, w.rows);
    FloatProducts.byTransposed(rows, w.rows, columns, values, w.values, out.values);
    return out;
  }

  @Override
  public Matrix linear(Matrix weight, Matrix bias) {
    return of(linear(weight)).change(bias(weight, bias), FloatMatrix::addTo);
  }

  @Override
  public Matrix linearRelu(Matrix weight, Matrix bias) {
    return of(linear(weight))
        .change(
            bias(weight, bias),
            (x, y) -> {
              for (int i = 0; i < x.length; i++) {
                x[i] = Math.max(0, x[i] + y[i]);
              }
            });
  }

  /** A number for each row of a weight, as one row. */
  private static FloatMatrix bias(Matrix weight, Matrix vector) {
    FloatMatrix bias = of(vector);
    of(weight).check(bias.rows * bias.columns == weight.rows(), bias);
    return new FloatMatrix(1, weight.rows(), bias.values, false);
  }

  @Override
  public Matrix times(Matrix other) {
    FloatMatrix right = of(other);
    check(columns == right.rows, right);
    FloatMatrix out = new FloatMatrix(rows, right.columns);
    FloatProducts.plain(rows, right.columns, columns, values, right.values, out.values);
    return out;
  }

  @Override
  public void addOuter(Matrix gradient, Matrix input) {
    FloatMatrix down = of(gradient);
    FloatMatrix in = of(input);
    down.check(down.rows == in.rows, in);
    check(rows == down.columns && columns == in.columns, in);
    FloatProducts.addTransposedBy(rows, columns, in.rows, down.values, in.values, values);
  }

  /** Work on a copy of a row, and of one of another matrix. */
  private interface RowWork {
    void run(int row, float[] x, float[] y);
  }

  /** Works on each row and the same of another matrix, or its only one. */
  private void forEachRow(FloatMatrix other, RowWork work) {
    SharedWork.forEach(
        rows,
        columns,
        (first, end) -> {
          float[] x = new float[columns];
          float[] y = new float[columns];
          for (int row = first; row < end; row++) {
            read(row, x);
            other.read(other.rows == 1 ? 0 : row, y);
            work.run(row, x, y);
          }
        });
  }

  /** Changes each row, given the same of another matrix, or its only one. */
  private Matrix change(FloatMatrix other, BiConsumer<float[], float[]> change) {
    forEachRow(
        other,
        (row, x, y) -> {
          change.accept(x, y);
          write(row, x);
        });
    return this;
  }

  @Override
  public Matrix add(Matrix other) {
    FloatMatrix more = of(other);
    checkSame(more);
    return change(more, FloatMatrix::addTo);
  }

  private static void addTo(float[] x, float[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i];
    }
  }

  @Override
  public void addRowsOf(Matrix other) {
    FloatMatrix more = of(other);
    check(rows * columns == more.columns, more);
    SharedWork.forEach(
        more.columns,
        more.rows,
        (first, end) -> {
          double[] sums = new double[end - first];
          float[] x = new float[end - first];
          for (int row = 0; row < more.rows; row++) {
            more.values.get(row * more.columns + first, x);
            for (int i = 0; i < x.length; i++) {
              sums[i] += x[i];
            }
          }

          for (int i = 0; i < x.length; i++) {
            values.put(first + i, (float) (values.get(first + i) + sums[i]));
          }
        });
  }

  /** Adds as many numbers as this matrix has. */
  void addAll(double[] more) {
    for (int i = 0; i < more.length; i++) {
      values.put(i, (float) (values.get(i) + more[i]));
    }
  }

  @Override
  public Matrix gather(int[] indices) {
    FloatMatrix out = new FloatMatrix(indices.length, columns);
    for (int i = 0; i < indices.length; i++) {
      out.values.put(i * columns, values, indices[i] * columns, columns);
    }

    return out;
  }

  @Override
  public Matrix gather(int[] indices, double[] weights) {
    FloatMatrix out = new FloatMatrix(indices.length, columns);
    float[] x = new float[columns];
    for (int row = 0; row < indices.length; row++) {
      read(indices[row], x);
      float weight = (float) weights[row];
      for (int i = 0; i < columns; i++) {
        x[i] *= weight;
      }

      out.write(row, x);
    }

    return out;
  }

  /** A view. */
  @Override
  public Matrix rows(int first, int count) {
    return new FloatMatrix(count, columns, values.slice(first * columns, count * columns), false);
  }

  @Override
  public void addRowsAt(int[] indices, Matrix rowsOf) {
    FloatMatrix more = of(rowsOf);
    check(more.rows == indices.length && columns == more.columns, more);
    float[] x = new float[columns];
    float[] y = new float[columns];
    for (int row = 0; row < indices.length; row++) {
      read(indices[row], x);
      more.read(row, y);
      for (int i = 0; i < columns; i++) {
        x[i] += y[i];
      }

      write(indices[row], x);
    }
  }

  @Override
  public Matrix rowProducts(Matrix other) {
    FloatMatrix right = of(other);
    check(columns == right.columns && (rows == right.rows || right.rows == 1), right);
    FloatMatrix out = new FloatMatrix(rows, 1);
    forEachRow(right, (row, x, y) -> out.values.put(row, (float) product(x, y)));
    return out;
  }

  /** In four sums, so that no addition waits for the last one. */
  private static double product(float[] x, float[] y) {
    double[] sums = new double[4];
    int even = x.length / 4 * 4;
    for (int i = 0; i < even; i += 4) {
      for (int lane = 0; lane < 4; lane++) {
        sums[lane] += (double) x[i + lane] * y[i + lane];
      }
    }

    for (int i = even; i < x.length; i++) {
      sums[0] += (double) x[i] * y[i];
    }

    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }

  private static void clearWhereNone(float[] x, float[] y) {
    for (int i = 0; i < x.length; i++) {
      int kept = Float.floatToRawIntBits(0 - y[i]) >> 31; // all bits above 0, else none: no branch
      x[i] = Float.intBitsToFloat(Float.floatToRawIntBits(x[i]) & kept);
    }
  }

  @Override
  public Matrix linearReluBackward(Matrix result, Matrix biasGradient) {
    FloatMatrix inner = of(result);
    checkSame(inner);
    FloatMatrix products = new FloatMatrix(rows, 1);
    forEachRow(
        inner,
        (row, x, y) -> {
          clearWhereNone(x, y);
          write(row, x);
          products.values.put(row, (float) product(x, y));
        });
    biasGradient.addRowsOf(this);
    return products;
  }

  @Override
  public Matrix swiglu(Matrix up) {
    FloatMatrix right = of(up);
    checkSame(right);
    FloatMatrix out = new FloatMatrix(rows, columns);
    float[] x = new float[columns];
    float[] y = new float[columns];
    for (int row = 0; row < rows; row++) {
      read(row, x);
      right.read(row, y);
      for (int i = 0; i < columns; i++) {
        x[i] = (float) (x[i] * sigmoid(x[i]) * y[i]);
      }

      out.write(row, x);
    }

    return out;
  }

  @Override
  public SwigluGradients swigluBackward(Matrix up, Matrix gradient) {
    FloatMatrix right = of(up);
    FloatMatrix down = of(gradient);
    checkSame(right);
    checkSame(down);
    FloatMatrix gateGradient = new FloatMatrix(rows, columns);
    FloatMatrix upGradient = new FloatMatrix(rows, columns);
    float[] x = new float[columns];
    float[] y = new float[columns];
    float[] dy = new float[columns];
    for (int row = 0; row < rows; row++) {
      read(row, x);
      right.read(row, y);
      down.read(row, dy);
      for (int i = 0; i < columns; i++) {
        double sigmoid = sigmoid(x[i]);
        double silu = x[i] * sigmoid;
        x[i] = (float) (dy[i] * (y[i] * (sigmoid + silu * (1 - sigmoid))));
        y[i] = (float) (dy[i] * silu);
      }

      gateGradient.write(row, x);
      upGradient.write(row, y);
    }

    return new SwigluGradients(gateGradient, upGradient);
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  @Override
  public Matrix rmsNorm(Matrix gain, double epsilon) {
    return FloatNorms.rms(this, of(gain), epsilon);
  }

  @Override
  public Matrix rmsNormBackward(Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient) {
    return FloatNorms.rmsBackward(this, of(gain), epsilon, of(gradient), of(gainGradient));
  }

  @Override
  public Matrix layerNorm(Matrix gain, Matrix bias, double epsilon) {
    return FloatNorms.layer(this, of(gain), of(bias), epsilon);
  }

  @Override
  public Matrix layerNormBackward(
      Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient, Matrix biasGradient) {
    return FloatNorms.layerBackward(
        this, of(gain), epsilon, of(gradient), of(gainGradient), of(biasGradient));
  }

  @Override
  public void turn(Rotary rotary, int length, boolean backwards) {
    double[] cosines = rotary.cosines(length);
    double[] sines = rotary.sines(length, backwards);
    int half = rotary.headSize() / 2;
    float[] x = new float[columns];
    for (int row = 0; row < rows; row++) {
      read(row, x);
      int table = row % length * half;
      for (int head = 0; head < columns; head += rotary.headSize()) {
        for (int i = 0; i < half; i++) {
          double first = x[head + i];
          double second = x[head + half + i];
          x[head + i] = (float) (first * cosines[table + i] - second * sines[table + i]);
          x[head + half + i] = (float) (second * cosines[table + i] + first * sines[table + i]);
        }
      }

      write(row, x);
    }
  }

  @Override
  public Matrix attend(Heads heads, Matrix keys, Matrix values, int length) {
    return new FloatAttention(heads).forward(this, of(keys), of(values), length);
  }

  @Override
  public AttentionGradients attendBackward(
      Heads heads, Matrix keys, Matrix values, int length, Matrix gradient) {
    return new FloatAttention(heads).backward(this, of(keys), of(values), length, of(gradient));
  }

  @Override
  public double crossEntropy(int[] targets, double scale) {
    float[] x = new float[columns];
    double[] shares = new double[columns];
    double loss = 0;
    for (int token = 0; token < targets.length; token++) {
      int target = targets[token];
      read(token, x);
      if (target < 0) {
        Arrays.fill(x, 0);
        write(token, x);
        continue;
      }

      double most = Double.NEGATIVE_INFINITY;
      for (float logit : x) {
        most = Math.max(most, logit);
      }

      double sum = 0;
      for (int i = 0; i < columns; i++) {
        shares[i] = Math.exp(x[i] - most);
        sum += shares[i];
      }

      loss += Math.log(sum) + most - x[target];
      for (int i = 0; i < columns; i++) {
        x[i] = (float) (scale * (shares[i] / sum - (i == target ? 1 : 0)));
      }

      write(token, x);
    }

    return loss;
  }

  private void checkSame(FloatMatrix other) {
    check(rows == other.rows && columns == other.columns, other);
  }

  private void check(boolean fits, FloatMatrix other) {
    if (!fits) {
      throw new IllegalArgumentException(
          "Matrices do not fit: %d x %d and %d x %d"
              .formatted(rows, columns, other.rows, other.columns));
    }
  }
}
