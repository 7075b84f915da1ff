package io.expertatlas.runtime.matrix;

import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The CPU in floats. What {@link #load} gives is the host's memory itself, so that experts compute
 * from the weights where they are; the memory of large {@link #zeros} is used again once they are
 * given up. Everything is done when a call returns; several threads may use it on different
 * matrices.
 */
public final class FloatDevice implements MatrixDevice {
  /** The only one. */
  public static final FloatDevice INSTANCE = new FloatDevice();

  private final FloatPool pool = new FloatPool();

  private FloatDevice() {}

  @Override
  public String name() {
    return "cpu in floats";
  }

  @Override
  public int numberBytes() {
    return Float.BYTES;
  }

  @Override
  public Matrix zeros(int rows, int columns) {
    FloatBuffer values = pool.zeros(Math.multiplyExact(rows, columns));
    return new FloatMatrix(rows, columns, values, true);
  }

  @Override
  public Matrix of(int rows, int columns, double[] values) {
    FloatMatrix out = new FloatMatrix(rows, columns);
    if (values.length != (long) rows * columns) {
      throw new IllegalArgumentException(
          "Invalid matrix: %d x %d of %d numbers".formatted(rows, columns, values.length));
    }

    for (int i = 0; i < values.length; i++) {
      out.values.put(i, (float) values[i]);
    }

    return out;
  }

  @Override
  public Matrix take(Matrix matrix) {
    if (matrix instanceof FloatMatrix) {
      return matrix;
    }

    return beginTake(matrix).get();
  }

  @Override
  public Supplier<Matrix> beginTake(Matrix matrix) {
    if (matrix instanceof FloatMatrix) {
      return () -> matrix;
    }

    Consumer<FloatBuffer> numbers = matrix.beginCopy();
    int rows = matrix.rows();
    int columns = matrix.columns();
    return () -> {
      FloatMatrix copy = new FloatMatrix(rows, columns);
      numbers.accept(copy.values);
      return copy;
    };
  }

  @Override
  public Matrix load(FloatBuffer values, int rows, int columns) {
    return new FloatMatrix(rows, columns, part(values, rows, columns), false);
  }

  @Override
  public Optional<Matrix> view(FloatBuffer values, int rows, int columns) {
    return Optional.of(load(values, rows, columns));
  }

  @Override
  public void release(Matrix matrix) {
    if (FloatMatrix.of(matrix).isPooled) {
      pool.giveBack(FloatMatrix.of(matrix).giveUp());
    }
  }

  @Override
  public void store(Matrix matrix, FloatBuffer into) {
    matrix.copyInto(part(into, matrix.rows(), matrix.columns()), 0);
    release(matrix);
  }

  private static FloatBuffer part(FloatBuffer values, int rows, int columns) {
    int count = Math.multiplyExact(rows, columns);
    if (values.capacity() < count || values.order() != ByteOrder.nativeOrder()) {
      throw new IllegalArgumentException(
          "Invalid host's numbers: %d, %s, for %d x %d, %s"
              .formatted(
                  values.capacity(), values.order(), rows, columns, ByteOrder.nativeOrder()));
    }

    return values.duplicate().clear().slice(0, count);
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
    FloatMatrix out = new FloatMatrix(choices.tokens(), columns);
    double[] sums = new double[columns];
    float[] x = new float[columns];
    for (int t = 0; t < out.rows; t++) {
      Arrays.fill(sums, 0);
      for (int j = t * choices.each(); j < (t + 1) * choices.each(); j++) {
        double weight = weights == null ? 1 : weights[j];
        FloatMatrix.of(sources[choices.from()[j]]).read(choices.rows()[j], x);
        for (int i = 0; i < columns; i++) {
          sums[i] += weight * x[i];
        }
      }

      for (int i = 0; i < columns; i++) {
        x[i] = (float) sums[i];
      }

      out.write(t, x);
    }

    return out;
  }

  @Override
  public Matrix logitsGradient(Matrix[] along, Choices choices, double[] shares, boolean ofChosen) {
    Matrix[] inDoubles = new Matrix[along.length];
    for (int i = 0; i < along.length; i++) {
      inDoubles[i] = along[i] == null ? null : DoubleDevice.INSTANCE.take(along[i]);
    }

    return take(DoubleDevice.INSTANCE.logitsGradient(inDoubles, choices, shares, ofChosen));
  }
}
