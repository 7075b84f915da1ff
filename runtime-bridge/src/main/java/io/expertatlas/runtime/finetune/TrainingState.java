package io.expertatlas.runtime.finetune;

import java.util.List;

/**
 * How far a training is.
 *
 * @param curve a point for each step that is done
 * @param heldOutBefore loss on held-out text before the first step
 */
public record TrainingState(List<Point> curve, double heldOutBefore) {
  /** Copies the curve. */
  public TrainingState {
    curve = List.copyOf(curve);
  }

  /** Number of steps that are done. */
  public int step() {
    return curve.size();
  }

  /**
   * A step.
   *
   * @param loss of its batch, before its update
   * @param rate learning rate
   * @param gradientNorm before it was clipped
   */
  public record Point(double loss, double rate, double gradientNorm) {}
}
