package io.expertatlas.affinity.arrow;

import java.util.List;

/** The order of expert sets of one size. */
final class Lexicographic {
  private Lexicographic() {}

  static int compare(List<Integer> left, List<Integer> right) {
    for (int i = 0; i < left.size(); i++) {
      int order = Integer.compare(left.get(i), right.get(i));
      if (order != 0) {
        return order;
      }
    }

    return 0;
  }
}
