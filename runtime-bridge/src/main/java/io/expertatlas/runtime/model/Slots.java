package io.expertatlas.runtime.model;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.ExecutionPlan;

/** Which part of a rank's caches a sequence owns. */
final class Slots {
  private Slots() {}

  /**
   * In coherent mode every rank has a slot for every sequence; else a sequence has one at home
   * only.
   */
  static int slot(ExecutionPlan plan, int sequence) {
    return plan.mode() == ParallelMode.COHERENT ? sequence : sequence / plan.ranks();
  }

  /** Slots that a rank needs. */
  static int count(ExecutionPlan plan, int sequences) {
    return plan.mode() == ParallelMode.COHERENT
        ? sequences
        : (sequences + plan.ranks() - 1) / plan.ranks();
  }
}
