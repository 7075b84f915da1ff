package io.expertatlas.predictor;

import java.util.List;
import java.util.Objects;

/**
 * A dense array of float32, row-major, with its shape. The array is not copied: it must not be
 * changed afterwards.
 */
public final class WeightTensor {
  private final List<Integer> shape;
  private final float[] values;

  /**
   * Creates a tensor over an array.
   *
   * @throws IllegalArgumentException if the shape does not give the array's length
   */
  public WeightTensor(List<Integer> shape, float[] values) {
    this.shape = List.copyOf(shape);
    this.values = Objects.requireNonNull(values, "values is null");
    long elements = 1;
    for (int axis : shape) {
      elements = axis < 0 ? -1 : Math.multiplyExact(elements, (long) axis);
    }

    if (elements != values.length) {
      throw new IllegalArgumentException(
          "Invalid tensor shape: %s of %d values".formatted(shape, values.length));
    }
  }

  /** Length of each axis. */
  public List<Integer> shape() {
    return shape;
  }

  /** The values themselves, row-major; not to be changed. */
  public float[] values() {
    return values;
  }
}
