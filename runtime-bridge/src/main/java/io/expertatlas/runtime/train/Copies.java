package io.expertatlas.runtime.train;

/** The numbers that a computation works with: copies of parameters, and sums of gradients. */
interface Copies {
  /** A copy of a parameter in doubles, not to be written. */
  Matrix value(Parameter parameter);

  /** The sum of a step's gradients so far, to be added to. */
  Matrix gradient(Parameter parameter);
}
