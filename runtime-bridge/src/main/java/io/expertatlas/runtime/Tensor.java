package io.expertatlas.runtime;

import java.util.List;

/**
 * A dense, row-major array in the memory of a {@link Device}: an opaque handle, of use only to the
 * device that made it (or one that shares its memory). It dies with its device.
 */
public interface Tensor {
  /** The type of its elements. */
  DType type();

  /** Length of each axis, outermost first. */
  List<Long> shape();

  /** Length of an axis. */
  default long size(int axis) {
    return shape().get(axis);
  }

  /** Number of elements. */
  default long elements() {
    long product = 1;
    for (long length : shape()) {
      product = Math.multiplyExact(product, length);
    }

    return product;
  }

  /** Elements of one row: the product of all axes but the first. */
  default long width() {
    long product = 1;
    for (int axis = 1; axis < shape().size(); axis++) {
      product = Math.multiplyExact(product, size(axis));
    }

    return product;
  }

  /** Size in bytes. */
  default long bytes() {
    return Math.multiplyExact(elements(), type().bytes());
  }
}
