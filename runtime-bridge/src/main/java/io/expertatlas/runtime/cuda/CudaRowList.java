package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.RowList;
import java.util.Objects;

/** A list in the memory of a GPU, copied there once: weights, then indices, of four bytes each. */
final class CudaRowList implements RowList {
  private final CudaMatrix words;
  private final int weights;
  private final int indices;
  private final RowRange range;

  /**
   * Copies a list.
   *
   * @param weights none, or one for each index
   */
  CudaRowList(CudaMatrixDevice device, int[] indices, double[] weights) {
    this.weights = weights.length;
    this.indices = indices.length;
    this.words = device.make(1, weights.length + indices.length);
    device.uploads().fill(words, weights, indices);
    this.range = RowRange.of(indices);
  }

  @Override
  public Matrix gather(Matrix from, int first, int count) {
    Objects.checkFromIndexSize(first, count, indices);
    return checked(from).gather(count, address(weights + first));
  }

  @Override
  public Matrix gatherWeighted(Matrix from, int first, int count) {
    Objects.checkFromIndexSize(first, count, weights);
    return checked(from).gather(count, address(weights + first), address(first));
  }

  /** A matrix that has all rows of the list. */
  private CudaMatrix checked(Matrix from) {
    CudaMatrix matrix = words.device().mine(from);
    range.checkWithin(matrix.rows());
    return matrix;
  }

  private long address(int word) {
    return words.address() + 4L * word;
  }
}
