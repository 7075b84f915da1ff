package io.expertatlas.runtime.cpu;

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

  /** Elements of a row, the same in both. */
  static int width(String operation, Tensor x, Tensor out) {
    expect(operation, x.width() == out.width(), x, out);
    return Math.toIntExact(out.width());
  }

  /** An index that is a row of the table. */
  static int checked(String operation, int index, Tensor table) {
    if (index < 0 || index >= table.size(0)) {
      throw new IllegalArgumentException(
          "Invalid index of %s: %d, the table has %d rows"
              .formatted(operation, index, table.size(0)));
    }

    return index;
  }
}
