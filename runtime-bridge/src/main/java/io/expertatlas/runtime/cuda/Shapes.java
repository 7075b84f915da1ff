package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.Tensor;
import java.util.Arrays;

/** What operands must agree on. */
final class Shapes {
  private Shapes() {}

  /** Refuses operands whose shapes do not belong together. */
  static void expect(String operation, boolean fits, Tensor... operands) {
    if (!fits) {
      throw new IllegalArgumentException(
          "Invalid shapes for %s: %s".formatted(operation, Arrays.toString(operands)));
    }
  }

  static void sameType(String operation, Tensor one, Tensor other) {
    expect(operation, one.type() == other.type(), one, other);
  }

  static void same(String operation, Tensor one, Tensor other) {
    expect(operation, one.elements() == other.elements(), one, other);
  }

  static void atMost(String what, long value, long most) {
    if (value > most) {
      throw new IllegalArgumentException(
          "Invalid %s: %d, at most %d on a GPU".formatted(what, value, most));
    }
  }
}
