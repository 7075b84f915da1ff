package io.expertatlas.runtime.model;

import java.util.Arrays;

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
