package io.expertatlas.runtime.train;

import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.cpu.HostFloats;
import java.util.Arrays;
import java.util.List;

/**
 * A tensor that is trained, as the host keeps it: FP32 value, gradient and the two moments of Adam,
 * row-major. A vector is a matrix of one row. Mutable; who shares it between threads orders them.
 */
public final class Parameter {
  /** Bytes of a number with its gradient and moments. */
  public static final int BYTES = 16;

  private final String name;
  private final List<Long> shape;
  private final int rows;
  private final int columns;
  final float[] value;
  final float[] gradient;
  final float[] mean;
  final float[] variance;

  /**
   * A parameter with zero gradient and moments.
   *
   * @param shape of one or two axes
   * @param value owned by the parameter from now on
   * @throws IllegalArgumentException if the values are not as many as the shape says
   */
  Parameter(String name, List<Long> shape, float[] value) {
    this.name = name;
    this.shape = List.copyOf(shape);
    this.rows = shape.size() == 1 ? 1 : Math.toIntExact(shape.get(0));
    this.columns = Math.toIntExact(shape.get(shape.size() - 1));
    if (shape.size() > 2 || (long) rows * columns != value.length) {
      throw new IllegalArgumentException(
          "Invalid parameter %s: %s of %d numbers".formatted(name, shape, value.length));
    }

    this.value = value;
    this.gradient = new float[value.length];
    this.mean = new float[value.length];
    this.variance = new float[value.length];
  }

  private Parameter(Parameter other) {
    this.name = other.name;
    this.shape = other.shape;
    this.rows = other.rows;
    this.columns = other.columns;
    this.value = other.value;
    this.gradient = other.gradient;
    this.mean = other.mean;
    this.variance = other.variance;
  }

  /**
   * The same numbers for a second use, a tied head: with a copy and a sum of gradients of its own,
   * so that the uses may be computed in different places.
   */
  Parameter secondUse() {
    return new Parameter(this);
  }

  /** Its name in checkpoints. */
  public String name() {
    return name;
  }

  /** Length of each axis. */
  public List<Long> shape() {
    return shape;
  }

  /** Number of numbers. */
  public int elements() {
    return value.length;
  }

  /** The numbers themselves, to be read. */
  public float[] value() {
    return value;
  }

  /** Gradient of the last step, to be read. */
  public float[] gradient() {
    return gradient;
  }

  /** Adam's first moment. */
  public float[] mean() {
    return mean;
  }

  /** Adam's second moment. */
  public float[] variance() {
    return variance;
  }

  int rows() {
    return rows;
  }

  int columns() {
    return columns;
  }

  /** Bytes of a copy in doubles. */
  long copyBytes() {
    return (long) value.length * Double.BYTES;
  }

  /** A copy of the value in doubles. */
  Matrix widened() {
    Matrix copy = new Matrix(rows, columns);
    for (int i = 0; i < value.length; i++) {
      copy.values[i] = value[i];
    }

    return copy;
  }

  void clearGradient() {
    Arrays.fill(gradient, 0);
  }

  /** Adds what a step's micro-batches gave, rounded once. */
  void addGradient(Matrix sum) {
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = (float) (gradient[i] + sum.values[i]);
    }
  }

  /** Multiplies the gradient. */
  public void scaleGradient(double scale) {
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = (float) (gradient[i] * scale);
    }
  }

  /** The root of the sum of squares of all gradients. */
  public static double gradientNorm(List<Parameter> parameters) {
    double squares = 0;
    for (Parameter parameter : parameters) {
      for (float number : parameter.gradient) {
        squares += (double) number * number;
      }
    }

    return Math.sqrt(squares);
  }

  /**
   * Takes value and moments from a file, under {@code value/NAME}, {@code mean/NAME}, {@code
   * variance/NAME}.
   *
   * @throws io.expertatlas.runtime.CheckpointException if one is missing or misshapen
   */
  public void restore(WeightSource source) {
    restore(source, "value/", value);
    restore(source, "mean/", mean);
    restore(source, "variance/", variance);
  }

  private void restore(WeightSource source, String kind, float[] into) {
    long[] axes = shape.stream().mapToLong(Long::longValue).toArray();
    float[] stored = HostFloats.read(source.tensor(kind + name, axes));
    System.arraycopy(stored, 0, into, 0, into.length);
  }
}
