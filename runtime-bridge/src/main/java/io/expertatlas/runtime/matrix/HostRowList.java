package io.expertatlas.runtime.matrix;

import java.util.Arrays;
import java.util.Objects;

/** A list in the memory of the JVM, whose matrices are told what they gather each time. */
final class HostRowList implements RowList {
  private final int[] indices;
  private final double[] weights;

  /**
   * A list.
   *
   * @param weights none, or one for each index
   */
  HostRowList(int[] indices, double[] weights) {
    this.indices = indices.clone();
    this.weights = weights.clone();
  }

  @Override
  public Matrix gather(Matrix from, int first, int count) {
    return from.gather(part(first, count));
  }

  @Override
  public Matrix gatherWeighted(Matrix from, int first, int count) {
    Objects.checkFromIndexSize(first, count, weights.length);
    return from.gather(part(first, count), Arrays.copyOfRange(weights, first, first + count));
  }

  private int[] part(int first, int count) {
    Objects.checkFromIndexSize(first, count, indices.length);
    return Arrays.copyOfRange(indices, first, first + count);
  }
}
