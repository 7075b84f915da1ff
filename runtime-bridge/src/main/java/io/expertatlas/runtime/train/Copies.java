package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.List;

/** The numbers that a computation works with: copies of parameters, and sums of gradients. */
interface Copies {
  /**
   * Copies a parameter's value for the thread that asks.
   *
   * @throws IllegalStateException if it is interrupted
   */
  static Matrix load(Parameter parameter, MatrixDevice device) {
    try {
      Matrix copy = device.load(parameter.value(), parameter.rows(), parameter.columns());
      device.awaitLoads();
      return copy;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("Interrupted while copying " + parameter.name(), e);
    }
  }

  /** Where they are. */
  MatrixDevice device();

  /** A copy of a parameter, not to be written. */
  Matrix value(Parameter parameter);

  /** The sum of a step's gradients so far, to be added to. */
  Matrix gradient(Parameter parameter);

  /**
   * Adds {@code transposed(gradient) input} to a weight's gradients of the step.
   *
   * @param gradient of what the weight made, {@code [row, out]}
   * @param input that it was given, {@code [row, in]}
   */
  default void addOuter(Parameter weight, Matrix gradient, Matrix input) {
    gradient(weight).addOuter(gradient, input);
  }

  /** {@link #addOuter} of weights that were all given the same input. */
  default void addOuters(List<Parameter> weights, List<Matrix> gradients, Matrix input) {
    for (int i = 0; i < weights.size(); i++) {
      addOuter(weights.get(i), gradients.get(i), input);
    }
  }
}
