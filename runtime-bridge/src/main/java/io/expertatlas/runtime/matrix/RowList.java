package io.expertatlas.runtime.matrix;

/**
 * Rows by their index, with or without weights, of which a device gathers parts: it is told all of
 * them once, when the list is made. It belongs to the innermost scope that was open then, and is
 * given up with it; see {@link MatrixDevice#rowList}.
 */
public interface RowList {
  /**
   * What {@link Matrix#gather(int[])} does for some consecutive indices: [count, columns].
   *
   * @throws IndexOutOfBoundsException if the list does not have them
   */
  Matrix gather(Matrix from, int first, int count);

  /**
   * What {@link Matrix#gather(int[], double[])} does for some consecutive indices and weights.
   *
   * @throws IndexOutOfBoundsException if the list does not have them
   */
  Matrix gatherWeighted(Matrix from, int first, int count);
}
