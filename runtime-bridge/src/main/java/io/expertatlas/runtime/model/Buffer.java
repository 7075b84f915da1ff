package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.Tensor;

/** A tensor of as many rows as a step may have, and the view of those in use. */
final class Buffer {
  private final Device device;
  private final Tensor whole;
  private Tensor view;

  Buffer(Device device, String name, DType type, long... shape) {
    this.device = device;
    this.whole = device.allocate(name, type, shape);
    this.view = whole;
  }

  /** The first rows. */
  Tensor rows(int count) {
    if (view.size(0) != count) {
      view = device.rows(whole, 0, count);
    }

    return view;
  }

  /** Rows from somewhere on. */
  Tensor rows(int first, int count) {
    return first == 0 ? rows(count) : device.rows(whole, first, count);
  }

  Tensor whole() {
    return whole;
  }
}
