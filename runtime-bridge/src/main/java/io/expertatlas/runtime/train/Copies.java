package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;

/** The numbers that a computation works with: copies of parameters, and sums of gradients. */
interface Copies {
  /** Where they are. */
  MatrixDevice device();

  /** A copy of a parameter, not to be written. */
  Matrix value(Parameter parameter);

  /** The sum of a step's gradients so far, to be added to. */
  Matrix gradient(Parameter parameter);
}
