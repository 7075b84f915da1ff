package io.expertatlas.runtime.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/** What the CPU of the host computes in a step of a layer. Immutable. */
final class HostShare {
  /** Nothing. */
  static final HostShare NONE = new HostShare(new int[0], 0);

  private final int[] experts; // ascending
  private final int sparePieces;

  /**
   * A share.
   *
   * @param experts of the layer, ascending
   * @param sparePieces of an expert that the link could copy meanwhile
   */
  HostShare(int[] experts, int sparePieces) {
    this.experts = experts.clone();
    this.sparePieces = sparePieces;
  }

  /**
   * The share of a layer's step.
   *
   * @param numbers {@code [expert]}: on the slots, or NOBODY if it is not held
   * @param choices of experts, or -1
   * @param pieces of an expert
   */
  static HostShare of(ExpertSlots slots, int[] numbers, int[] choices, CpuRule rule, int pieces) {
    slots.settle();
    int[] rows = new int[numbers.length];
    for (int expert : choices) {
      if (expert >= 0 && numbers[expert] != ExpertSlots.NOBODY) {
        rows[expert]++;
      }
    }

    List<Integer> missing = new ArrayList<>();
    double underWay = 0;
    for (int expert = 0; expert < rows.length; expert++) {
      if (rows[expert] > 0 && slots.slot(numbers[expert]) == ExpertSlots.NOBODY) {
        missing.add(expert);
      } else if (rows[expert] > 0) {
        underWay += slots.left(numbers[expert]);
      }
    }

    missing.sort(Comparator.comparingInt(expert -> rows[expert])); // is stable
    int most = missing.size() - slots.free();
    if (most <= 0) {
      return NONE;
    }

    int[] rising = missing.stream().mapToInt(expert -> rows[expert]).toArray();
    CpuRule.Share decided = rule.share(rising, underWay, most);
    int[] onCpu =
        missing.subList(0, decided.onCpu()).stream().mapToInt(expert -> expert).sorted().toArray();
    return new HostShare(onCpu, (int) Math.min(pieces, decided.spareCopies() * pieces));
  }

  int[] experts() {
    return experts.clone();
  }

  boolean has(int expert) {
    return Arrays.binarySearch(experts, expert) >= 0;
  }

  boolean isSome() {
    return experts.length > 0;
  }

  int sparePieces() {
    return sparePieces;
  }

  /** The same where other work waits for the link. */
  HostShare withoutSpare() {
    return new HostShare(experts, 0);
  }
}
