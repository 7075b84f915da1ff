package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.Tensor;

/** What operands must agree on. */
final class Shapes {
  private Shapes() {}

  static void fits(String operation, Tensor tensor, long values) {
    if (values > tensor.elements()) {
      throw new IllegalArgumentException(
          "Cannot %s %d values into a tensor %s".formatted(operation, values, tensor.shape()));
    }
  }

  static void sameType(String operation, Tensor one, Tensor other) {
    if (one.type() != other.type()) {
      throw new IllegalArgumentException(
          "Cannot %s: %s %s and %s %s"
              .formatted(operation, one.type(), one.shape(), other.type(), other.shape()));
    }
  }

  static void same(String operation, Tensor one, Tensor other) {
    if (one.elements() != other.elements()) {
      throw new IllegalArgumentException(
          "Cannot %s: %s and %s".formatted(operation, one.shape(), other.shape()));
    }
  }

  static void linear(Tensor x, Tensor weight, Tensor out) {
    if (x.width() != weight.width()
        || weight.size(0) != out.width()
        || x.size(0) != out.size(0)) {
      throw new IllegalArgumentException(
          "Cannot multiply: x %s, weight %s, out %s"
              .formatted(x.shape(), weight.shape(), out.shape()));
    }
  }

  static void atMost(String what, long value, long most) {
    if (value > most) {
      throw new IllegalArgumentException(
          "Invalid %s: %d, at most %d on a GPU".formatted(what, value, most));
    }
  }
}
