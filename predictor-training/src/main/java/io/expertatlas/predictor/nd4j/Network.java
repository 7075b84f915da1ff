package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.AffineHeads;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scalar.RectifiedLinear;
import org.nd4j.linalg.api.ops.impl.scalar.Step;
import org.nd4j.linalg.api.ops.impl.transforms.custom.SoftMax;
import org.nd4j.linalg.api.ops.impl.updaters.AdamUpdater;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The heads of a layer while they are trained: {@code z = F W + relu(F U) V}, F the features of a
 * batch, with explicit gradients of the cross-entropy between softmax(z) of each head-out and the
 * gate's distribution, and Adam. All arrays live as long as the network: a step allocates nothing.
 * Not safe for several threads.
 */
final class Network implements AutoCloseable {
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;
  private static final double EPSILON = 1e-8;

  private final int outputs;
  private final int rank;
  private final int heads;
  private final TrainerConfig config;
  private final List<INDArray> all = new ArrayList<>();
  private final Parameter linear; // W [features][outputs]
  private final INDArray start; // [features][outputs]
  private final Parameter down; // U [features][rank]
  private final Parameter up; // V [rank][outputs]
  private final Batch train;

  /** A matrix with its gradient and Adam's moments. */
  private final class Parameter {
    final INDArray value;
    final INDArray gradient;
    final INDArray scaled; // scratch
    final INDArray velocity;
    final INDArray momentum;

    Parameter(int rows, int columns) {
      this.value = array(rows, columns);
      this.gradient = array(rows, columns);
      this.scaled = array(rows, columns);
      this.velocity = array(rows, columns);
      this.momentum = array(rows, columns);
    }

    void step(double rate, int iteration) {
      Nd4j.exec(
          new AdamUpdater(gradient, velocity, momentum, rate, BETA1, BETA2, EPSILON, iteration));
      value.subi(gradient);
    }
  }

  /** The arrays of a batch of a fixed number of rows. */
  final class Batch {
    final int rows;
    final INDArray features; // [rows][features]
    final INDArray target; // [rows * heads][experts]
    private final INDArray scores; // [rows][outputs]
    private final INDArray scoresByHead; // [rows * heads][experts]
    private final INDArray error; // [rows][outputs]
    private final INDArray errorByHead;
    private final INDArray sums; // [rows][rank]
    private final INDArray units; // [rows][rank]
    private final INDArray slope; // [rows][rank]
    private final INDArray unitScores; // [rows][outputs]

    Batch(int rows, int width) {
      this.rows = rows;
      int experts = outputs / heads;
      this.features = array(rows, width);
      this.target = array(rows * heads, experts);
      this.scores = array(rows, outputs);
      this.scoresByHead = scores.reshape('c', (long) rows * heads, experts);
      this.error = array(rows, outputs);
      this.errorByHead = error.reshape('c', (long) rows * heads, experts);
      this.sums = array(rows, Math.max(1, rank));
      this.units = array(rows, Math.max(1, rank));
      this.slope = array(rows, Math.max(1, rank));
      this.unitScores = array(rows, outputs);
    }

    /** Computes the scores, {@code [rows][outputs]}. */
    INDArray forward() {
      product(features, false, linear.value, false, scores);
      if (rank > 0) {
        product(features, false, down.value, false, sums);
        Nd4j.exec(new RectifiedLinear(sums, units, 0.0));
        product(units, false, up.value, false, unitScores);
        scores.addi(unitScores);
      }

      return scores;
    }

    /** Gradients of the mean cross-entropy of this batch, without decay. */
    void gradients() {
      forward();
      Nd4j.exec(new SoftMax(scoresByHead, errorByHead, 1));
      errorByHead.subi(target);
      error.muli(1.0 / rows);
      product(features, true, error, false, linear.gradient);
      if (rank > 0) {
        product(units, true, error, false, up.gradient);
        product(error, false, up.value, true, units);
        Nd4j.exec(new Step(sums, slope, 0.0));
        units.muli(slope);
        product(features, true, units, false, down.gradient);
      }
    }
  }

  Network(TrainerConfig config, int width, int outputs, int heads, int batchRows) {
    this.config = config;
    this.outputs = outputs;
    this.heads = heads;
    this.rank = config.rank();
    this.linear = new Parameter(width, outputs);
    this.start = array(width, outputs);
    this.down = new Parameter(rank == 0 ? 1 : width, Math.max(1, rank));
    this.up = new Parameter(Math.max(1, rank), rank == 0 ? 1 : outputs);
    this.train = new Batch(batchRows, width);
  }

  /**
   * {@code into = a b}, either transposed, by ND4J's BLAS on ND4J's memory: for products as small
   * as these ND4J's own call costs more than the product.
   */
  private static void product(
      INDArray a, boolean aTransposed, INDArray b, boolean bTransposed, INDArray into) {
    int inner = aTransposed ? a.rows() : a.columns();
    openblas.cblas_sgemm(
        openblas.CblasRowMajor,
        aTransposed ? openblas.CblasTrans : openblas.CblasNoTrans,
        bTransposed ? openblas.CblasTrans : openblas.CblasNoTrans,
        into.rows(),
        into.columns(),
        inner,
        1f,
        (FloatPointer) a.data().pointer(),
        a.columns(),
        (FloatPointer) b.data().pointer(),
        b.columns(),
        0f,
        (FloatPointer) into.data().pointer(),
        into.columns());
  }

  private INDArray array(int rows, int columns) {
    INDArray array = Nd4j.zeros(DataType.FLOAT, rows, columns);
    all.add(array);
    return array;
  }

  /** Sets the linear map that decay pulls to, and the units; row-major. */
  void begin(float[] linearStart, float[] downStart) {
    set(linear.value, linearStart);
    set(start, linearStart);
    if (rank > 0) {
      set(down.value, downStart);
    }
  }

  /** The batch of a training step. */
  Batch train() {
    return train;
  }

  /** One step of Adam on the training batch; {@code iteration} counts from 0. */
  void step(double rate, int iteration) {
    train.gradients();
    decay(linear, start, config.startDecay());
    linear.step(rate, iteration);
    if (rank > 0) {
      decay(down, null, config.unitDecay());
      decay(up, null, config.unitDecay());
      down.step(rate, iteration);
      up.step(rate, iteration);
    }
  }

  private static void decay(Parameter parameter, INDArray centre, double strength) {
    if (strength == 0) {
      return;
    }

    if (centre == null) {
      parameter.value.muli(strength, parameter.scaled);
    } else {
      parameter.value.subi(centre, parameter.scaled);
      parameter.scaled.muli(strength);
    }

    parameter.gradient.addi(parameter.scaled);
  }

  /** Everything that a step changes, row-major: values and moments of W, U, V. */
  float[][] state() {
    return arrays().stream().map(Network::get).toArray(float[][]::new);
  }

  /** Takes up where {@link #state} was. */
  void restore(float[][] state) {
    List<INDArray> arrays = arrays();
    for (int i = 0; i < state.length; i++) {
      set(arrays.get(i), state[i]);
    }
  }

  /** Lengths of the arrays of {@link #state}. */
  int[] stateLengths() {
    return arrays().stream().mapToInt(array -> (int) array.length()).toArray();
  }

  private List<INDArray> arrays() {
    List<INDArray> arrays = new ArrayList<>();
    for (Parameter parameter : List.of(linear, down, up)) {
      arrays.add(parameter.value);
      arrays.add(parameter.velocity);
      arrays.add(parameter.momentum);
    }

    return arrays;
  }

  /** The gradients of the last step's batch: W, U, V, row-major; for tests. */
  float[][] lastGradients() {
    return new float[][] {get(linear.gradient), get(down.gradient), get(up.gradient)};
  }

  /** Copies of W, U, V, row-major. */
  float[][] weights() {
    return new float[][] {get(linear.value), get(down.value), get(up.value)};
  }

  /** Heads of weights that {@link #weights} gave. */
  AffineHeads heads(float[][] weights, Features features) {
    if (rank == 0) {
      return new AffineHeads(
          outputs,
          0,
          features.hiddenPart(weights[0], outputs),
          features.biasPart(weights[0], outputs),
          features.routePart(weights[0], outputs),
          new float[0],
          new float[0],
          new float[0],
          new float[0]);
    }

    float[] upT = new float[outputs * rank];
    for (int unit = 0; unit < rank; unit++) {
      for (int output = 0; output < outputs; output++) {
        upT[output * rank + unit] = weights[2][unit * outputs + output];
      }
    }

    return new AffineHeads(
        outputs,
        rank,
        features.hiddenPart(weights[0], outputs),
        features.biasPart(weights[0], outputs),
        features.routePart(weights[0], outputs),
        features.hiddenPart(weights[1], rank),
        features.biasPart(weights[1], rank),
        features.routePart(weights[1], rank),
        upT);
  }

  private static void set(INDArray array, float[] values) {
    array.data().asNioFloat().put(values);
  }

  static float[] get(INDArray array) {
    float[] values = new float[(int) array.length()];
    array.data().asNioFloat().get(values);
    return values;
  }

  @Override
  public void close() {
    all.forEach(INDArray::close);
  }
}
