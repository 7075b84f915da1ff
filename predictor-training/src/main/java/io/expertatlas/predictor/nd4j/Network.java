package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.AffineHeads;
import java.util.ArrayList;
import java.util.List;

/**
 * The heads of a layer while they are trained: {@code z = F W + relu(F U) V}, F the features of a
 * batch, with explicit gradients of the cross-entropy between softmax(z) of each head-out and the
 * gate's distribution, and Adam. Products are ND4J's; what is done element by element is a loop
 * here, as an operation of ND4J costs 5 to 300 us a call. A step allocates nothing. Not safe for
 * several threads.
 */
final class Network implements AutoCloseable {
  private static final float BETA1 = 0.9f;
  private static final float BETA2 = 0.999f;
  private static final float EPSILON = 1e-8f;

  private final int outputs;
  private final int rank;
  private final int experts;
  private final TrainerConfig config;
  private final List<Matrix> all = new ArrayList<>();
  private final Parameter linear; // W [features][outputs]
  private final float[] start; // [features][outputs]
  private final Parameter down; // U [features][rank]
  private final Parameter up; // V [rank][outputs]
  private final Batch train;

  /** A matrix with its gradient and Adam's moments. */
  private final class Parameter {
    final Matrix value;
    final Matrix gradient;
    final float[] velocity;
    final float[] momentum;

    Parameter(int rows, int columns) {
      this.value = matrix(rows, columns);
      this.gradient = matrix(rows, columns);
      this.velocity = new float[value.values.length];
      this.momentum = new float[value.values.length];
    }

    /** Adds {@code strength (value - centre)} to the gradient; no centre is 0. */
    void decay(float[] centre, float strength) {
      if (strength == 0) {
        return;
      }

      float[] values = value.values;
      float[] slopes = gradient.values;
      for (int i = 0; i < values.length; i++) {
        slopes[i] += strength * (centre == null ? values[i] : values[i] - centre[i]);
      }
    }

    /** Adam, section 2 of Kingma and Ba (2015), in its efficient order. */
    void step(double rate, int iteration) {
      double correction = Math.sqrt(1 - Math.pow(BETA2, iteration + 1));
      float step = (float) (rate * correction / (1 - Math.pow(BETA1, iteration + 1)));
      adam(value.values, gradient.values, velocity, momentum, step);
      value.push();
    }
  }

  private static void adam(
      float[] values, float[] gradient, float[] velocity, float[] momentum, float step) {
    for (int i = 0; i < values.length; i++) {
      float slope = gradient[i];
      momentum[i] = BETA1 * momentum[i] + (1 - BETA1) * slope;
      velocity[i] = BETA2 * velocity[i] + (1 - BETA2) * slope * slope;
      values[i] -= step * momentum[i] / ((float) Math.sqrt(velocity[i]) + EPSILON);
    }
  }

  /** The matrices of a batch of a fixed number of rows. */
  final class Batch {
    final int rows;
    final Matrix features; // [rows][features]
    final float[] target; // [rows][heads][experts]
    private final Matrix scores; // [rows][outputs]; in gradients(), their errors
    private final Matrix units; // [rows][rank]
    private final Matrix unitErrors; // [rows][rank]

    Batch(int rows, int width) {
      this.rows = rows;
      this.features = matrix(rows, width);
      this.target = new float[rows * outputs];
      this.scores = matrix(rows, outputs);
      this.units = matrix(rows, Math.max(1, rank));
      this.unitErrors = matrix(rows, Math.max(1, rank));
    }

    /** Computes the scores of the pushed features, {@code [rows][outputs]}. */
    float[] forward() {
      scores.product(features, false, linear.value, false, 0);
      if (rank > 0) {
        units.product(features, false, down.value, false, 0);
        units.pull();
        for (int i = 0; i < units.values.length; i++) {
          units.values[i] = Math.max(0f, units.values[i]);
        }

        units.push();
        scores.product(units, false, up.value, false, 1);
      }

      scores.pull();
      return scores.values;
    }

    /** Gradients of the mean cross-entropy of this batch, without decay. */
    void gradients() {
      forward();
      errors(scores.values, target, experts, 1f / rows);
      scores.push();
      linear.gradient.product(features, true, scores, false, 0);
      linear.gradient.pull();
      if (rank > 0) {
        up.gradient.product(units, true, scores, false, 0);
        up.gradient.pull();
        unitErrors.product(scores, false, up.value, true, 0);
        unitErrors.pull();
        for (int i = 0; i < units.values.length; i++) {
          unitErrors.values[i] = units.values[i] > 0 ? unitErrors.values[i] : 0f;
        }

        unitErrors.push();
        down.gradient.product(features, true, unitErrors, false, 0);
        down.gradient.pull();
      }
    }
  }

  /** Turns scores into {@code (softmax(scores) - target) * scale}, softmax over each group. */
  private static void errors(float[] scores, float[] target, int group, float scale) {
    for (int from = 0; from < scores.length; from += group) {
      float most = scores[from];
      for (int i = from + 1; i < from + group; i++) {
        most = Math.max(most, scores[i]);
      }

      float sum = 0;
      for (int i = from; i < from + group; i++) {
        scores[i] = (float) Math.exp(scores[i] - most);
        sum += scores[i];
      }

      float share = 1 / sum;
      for (int i = from; i < from + group; i++) {
        scores[i] = (scores[i] * share - target[i]) * scale;
      }
    }
  }

  Network(TrainerConfig config, int width, int outputs, int heads, int batchRows) {
    this.config = config;
    this.outputs = outputs;
    this.experts = outputs / heads;
    this.rank = config.rank();
    this.linear = new Parameter(width, outputs);
    this.start = new float[width * outputs];
    this.down = new Parameter(rank == 0 ? 1 : width, Math.max(1, rank));
    this.up = new Parameter(Math.max(1, rank), rank == 0 ? 1 : outputs);
    this.train = new Batch(batchRows, width);
  }

  private Matrix matrix(int rows, int columns) {
    Matrix matrix = new Matrix(rows, columns);
    all.add(matrix);
    return matrix;
  }

  /** Sets the linear map that decay pulls to, and the units; row-major. */
  void begin(float[] linearStart, float[] downStart) {
    System.arraycopy(linearStart, 0, linear.value.values, 0, start.length);
    System.arraycopy(linearStart, 0, start, 0, start.length);
    linear.value.push();
    if (rank > 0) {
      System.arraycopy(downStart, 0, down.value.values, 0, downStart.length);
      down.value.push();
    }
  }

  /** The batch of a training step. */
  Batch train() {
    return train;
  }

  /** One step of Adam on the training batch; {@code iteration} counts from 0. */
  void step(double rate, int iteration) {
    train.gradients();
    linear.decay(start, (float) config.startDecay());
    linear.step(rate, iteration);
    if (rank > 0) {
      down.decay(null, (float) config.unitDecay());
      up.decay(null, (float) config.unitDecay());
      down.step(rate, iteration);
      up.step(rate, iteration);
    }
  }

  /** Everything that a step changes, row-major: values and moments of W, U, V. */
  float[][] state() {
    return arrays().stream().map(float[]::clone).toArray(float[][]::new);
  }

  /** Takes up where {@link #state} was. */
  void restore(float[][] state) {
    List<float[]> arrays = arrays();
    for (int i = 0; i < state.length; i++) {
      System.arraycopy(state[i], 0, arrays.get(i), 0, state[i].length);
    }

    for (Parameter parameter : List.of(linear, down, up)) {
      parameter.value.push();
    }
  }

  /** Lengths of the arrays of {@link #state}. */
  int[] stateLengths() {
    return arrays().stream().mapToInt(array -> array.length).toArray();
  }

  private List<float[]> arrays() {
    List<float[]> arrays = new ArrayList<>();
    for (Parameter parameter : List.of(linear, down, up)) {
      arrays.add(parameter.value.values);
      arrays.add(parameter.velocity);
      arrays.add(parameter.momentum);
    }

    return arrays;
  }

  /** Copies of the gradients of the last step's batch: W, U, V, row-major; for tests. */
  float[][] lastGradients() {
    return new float[][] {
      linear.gradient.values.clone(), down.gradient.values.clone(), up.gradient.values.clone()
    };
  }

  /** Copies of W, U, V, row-major. */
  float[][] weights() {
    return new float[][] {
      linear.value.values.clone(), down.value.values.clone(), up.value.values.clone()
    };
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

  @Override
  public void close() {
    all.forEach(Matrix::close);
  }
}
