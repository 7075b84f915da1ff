package io.expertatlas.runtime.train;

import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.cpu.HostFloats;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * A tensor that is trained, as the host keeps it: FP32 value, gradient and the two moments of Adam,
 * row-major. A vector is a matrix of one row. Mutable; who shares it between threads orders them.
 *
 * <p>The gradient of a step is what was stored of it, plus outer products of few rows that were not
 * written out, plus that of a second use, times a scale; if there is none of these it is 0. It is
 * put together where it is read.
 */
public final class Parameter {
  /** Bytes of a number with its gradient and moments. */
  public static final int BYTES = 16;

  private static final int CLEARED = 1 << 18; // numbers of a thread at a time

  private final String name;
  private final TensorData tensor;
  private final List<Long> shape;
  private final int rows;
  private final int columns;
  private final FloatBuffer value;
  private final FloatBuffer gradient;
  private final float[] mean;
  private final float[] variance;
  private boolean written; // whether the memory of the gradient holds some of this step's
  private OuterProducts outer; // of this step, beside what is written, or null
  private double scale = 1; // of this step's gradient
  private Parameter second; // use, or null
  private Matrix sum; // of this step on the host, of the gradient's own numbers, or null

  /**
   * A parameter with zero gradient and moments.
   *
   * @param tensor of one or two axes, whose values {@link #read} takes
   */
  Parameter(String name, TensorData tensor, ParameterMemory memory) {
    this.name = name;
    this.shape = List.copyOf(tensor.shape());
    this.rows = shape.size() == 1 ? 1 : Math.toIntExact(shape.get(0));
    this.columns = Math.toIntExact(shape.get(shape.size() - 1));
    if (shape.size() > 2) {
      throw new IllegalArgumentException(
          "Invalid parameter %s: %s, one or two axes".formatted(name, shape));
    }

    int elements = Math.multiplyExact(rows, columns);
    this.tensor = tensor;
    this.value = memory.allocate(elements);
    this.gradient = memory.allocate(elements);
    this.mean = new float[elements];
    this.variance = new float[elements];
  }

  private Parameter(Parameter other, ParameterMemory memory) {
    this.name = other.name;
    this.tensor = other.tensor;
    this.shape = other.shape;
    this.rows = other.rows;
    this.columns = other.columns;
    this.value = other.value;
    this.gradient = memory.allocate(other.elements());
    this.mean = other.mean;
    this.variance = other.variance;
  }

  /**
   * Takes the first values.
   *
   * @throws io.expertatlas.runtime.CheckpointException if they cannot be read
   */
  void read() {
    value.put(0, HostFloats.read(tensor));
  }

  /**
   * The same numbers for a second use, a tied head: with copies and a gradient of its own, so that
   * the uses may be computed in different places.
   */
  Parameter secondUse(ParameterMemory memory) {
    second = new Parameter(this, memory);
    return second;
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
    return mean.length;
  }

  /** The numbers themselves, to be read. */
  public FloatBuffer value() {
    return value.duplicate();
  }

  /** A copy of the gradient of the last step. */
  public FloatBuffer gradient() {
    float[] numbers = new float[elements()];
    readGradient(0, numbers, numbers.length);
    return FloatBuffer.wrap(numbers);
  }

  /** Reads numbers of the last step's gradient, from a first one on. */
  void readGradient(int first, float[] into, int count) {
    readUnscaled(first, into, count);
    if (scale != 1) {
      for (int i = 0; i < count; i++) {
        into[i] = (float) (into[i] * scale);
      }
    }
  }

  private void readUnscaled(int first, float[] into, int count) {
    if (written) {
      gradient.get(first, into, 0, count);
    } else if (outer != null) {
      outer.read(first, into, count);
    } else {
      Arrays.fill(into, 0, count, 0);
    }

    if (written && outer != null) {
      float[] more = new float[count];
      outer.read(first, more, count);
      add(more, into);
    }

    if (second != null) {
      float[] more = new float[count];
      second.readUnscaled(first, more, count);
      add(more, into);
    }
  }

  private static void add(float[] more, float[] into) {
    for (int i = 0; i < more.length; i++) {
      into[i] += more[i];
    }
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

  /** Bytes of a copy. */
  long copyBytes(MatrixDevice device) {
    return (long) elements() * device.numberBytes();
  }

  /** Begins a step: the gradient is the last one's. */
  void clearGradient() {
    written = false;
    outer = null;
    scale = 1;
    if (second != null) {
      second.clearGradient();
    }
  }

  /**
   * Zeros to add a step's gradient to. On a device that computes on the host's numbers they are the
   * gradient itself, which {@link #storeGradient} need not copy then.
   */
  Matrix zeroSum(MatrixDevice device) {
    sum = device.view(gradient, rows, columns).orElse(null);
    if (sum == null) {
      return device.zeros(rows, columns);
    }

    // not by HostWork, whose threads may be at work on the optimizer
    float[] zeros = new float[Math.min(CLEARED, elements())];
    IntStream.range(0, (elements() + CLEARED - 1) / CLEARED)
        .parallel()
        .map(piece -> piece * CLEARED)
        .forEach(at -> gradient.put(at, zeros, 0, Math.min(CLEARED, elements() - at)));
    return sum;
  }

  /** Takes the gradient of a step from a device, which gives its sum up; once a step. */
  void storeGradient(Matrix ofStep) {
    storeGradients(List.of(this), List.of(ofStep));
  }

  /** Takes gradients of a step from their devices, which give the sums up; once a step. */
  static void storeGradients(List<Parameter> parameters, List<Matrix> ofStep) {
    Map<MatrixDevice, List<Matrix>> sums = new LinkedHashMap<>();
    Map<MatrixDevice, List<FloatBuffer>> into = new LinkedHashMap<>();
    for (int i = 0; i < parameters.size(); i++) {
      Parameter one = parameters.get(i);
      if (one.written) {
        throw new IllegalStateException("The gradient of %s came twice".formatted(one.name));
      }

      one.written = true;
      if (ofStep.get(i) != one.sum) {
        MatrixDevice device = ofStep.get(i).device();
        sums.computeIfAbsent(device, d -> new ArrayList<>()).add(ofStep.get(i));
        into.computeIfAbsent(device, d -> new ArrayList<>()).add(one.gradient);
      }

      one.sum = null;
    }

    sums.forEach((device, ofDevice) -> device.store(ofDevice, into.get(device)));
  }

  /**
   * Adds {@code transposed(gradient) input} to the gradient without writing it out, if the rows of
   * the step are few: {@link TrainingProfile#KEPT_ROWS}.
   *
   * @return whether it did; if not, they are for a sum
   */
  boolean addOuter(Matrix ofOutput, Matrix input) {
    int rows = input.rows() + (outer == null ? 0 : outer.rows());
    if (rows > TrainingProfile.KEPT_ROWS) {
      return false;
    }

    if (outer == null) {
      outer = new OuterProducts(columns);
    }

    outer.add(ofOutput, input);
    return true;
  }

  /** Multiplies the last step's gradients. */
  public static void scaleGradients(List<Parameter> parameters, double scale) {
    parameters.forEach(one -> one.scale *= scale);
  }

  /** Zeros of the same shape, in the JVM's memory. */
  Parameter blank() {
    return new Parameter(name, tensor, ParameterMemory.JVM);
  }

  /** The root of the sum of squares of all gradients. */
  public static double gradientNorm(List<Parameter> parameters) {
    double sum = 0;
    for (double squares : gradientSquares(parameters)) {
      sum += squares;
    }

    return Math.sqrt(sum);
  }

  /** The sum of squares of each gradient. */
  public static List<Double> gradientSquares(List<Parameter> parameters) {
    return HostWork.map(parameters, Parameter::squares);
  }

  private double squares() {
    float[] piece = new float[Math.min(HostWork.PIECE, elements())];
    double squares = 0;
    for (int first = 0; first < elements(); first += piece.length) {
      int count = Math.min(piece.length, elements() - first);
      readGradient(first, piece, count);
      for (int i = 0; i < count; i++) {
        squares += (double) piece[i] * piece[i];
      }
    }

    return squares;
  }

  /**
   * Takes value and moments from a file, under {@code value/NAME}, {@code mean/NAME}, {@code
   * variance/NAME}.
   *
   * @throws io.expertatlas.runtime.CheckpointException if one is missing or misshapen
   */
  public void restore(WeightSource source) {
    value.put(0, stored(source, "value/"));
    System.arraycopy(stored(source, "mean/"), 0, mean, 0, mean.length);
    System.arraycopy(stored(source, "variance/"), 0, variance, 0, variance.length);
  }

  private float[] stored(WeightSource source, String kind) {
    long[] axes = shape.stream().mapToLong(Long::longValue).toArray();
    return HostFloats.read(source.tensor(kind + name, axes));
  }
}
