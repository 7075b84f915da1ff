package io.expertatlas.runtime;

import java.nio.ByteBuffer;
import java.util.List;

/** Values to fill a tensor with, wherever they come from; read in pieces, so of any size. */
public interface TensorData {
  /** What messages call it: the name in its checkpoint. */
  String name();

  /** The type of the elements as stored. */
  DType type();

  /** Length of each axis, outermost first. */
  List<Long> shape();

  /**
   * Copies elements, little-endian, from an element on until the buffer is full.
   *
   * @param firstElement index in row-major order
   * @param into has room for whole elements, no more than there are from the first one on
   */
  void read(long firstElement, ByteBuffer into);

  /** Number of elements. */
  default long elements() {
    long product = 1;
    for (long length : shape()) {
      product = Math.multiplyExact(product, length);
    }

    return product;
  }
}
