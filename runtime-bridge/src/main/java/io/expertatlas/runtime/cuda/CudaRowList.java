package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.RowList;
import java.util.Objects;

/** A list in the memory of a GPU, copied there once: weights, then indices, of four bytes each. */
final class CudaRowList implements RowList {
  private final CudaMatrix words;
  private final int weights;
  private final int indices;
  private int least;
  private int largest;

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
    for (int index : indices) {
      least = Math.min(least, index);
      largest = Math.max(largest, index);
    }
  }

  @Override
  public Matrix gather(Matrix from, int first, int count) {
    Objects.checkFromIndexSize(first, count, indices);
    return checked(from, count).gather(count, address(weights + first));
  }

  @Override
  public Matrix gatherWeighted(Matrix from, int first, int count) {
    Objects.checkFromIndexSize(first, count, weights);
    return checked(from, count).gather(count, address(weights + first), address(first));
  }

  /** A matrix that has all rows of the list. */
  private CudaMatrix checked(Matrix from, int count) {
    CudaMatrix matrix = words.device().mine(from);
    if (count > 0) {
      matrix.checkRow(least);
      matrix.checkRow(largest);
    }

    return matrix;
  }

  private long address(int word) {
    return words.address() + 4L * word;
  }
}
