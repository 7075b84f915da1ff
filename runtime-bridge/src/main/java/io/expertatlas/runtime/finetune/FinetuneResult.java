package io.expertatlas.runtime.finetune;

import java.util.List;
import java.util.Map;

/**
 * What a training gave.
 *
 * @param model it started from
 * @param training settings and digests, by name
 * @param execution how it was computed, by name; the result does not depend on it
 * @param parameters numbers that were trained
 * @param resumedFrom steps that were done before; 0: none
 * @param curve a point for each step
 * @param heldOutBefore loss on held-out text before the first step
 * @param heldOutAfter and after the last one
 * @param heldOutTokens tokens of the held-out text
 * @param tokensPerSecond of the steps of this process; 0 if it made none
 * @param peakBytes of copies, gradients and activations
 */
public record FinetuneResult(
    String model,
    Map<String, String> training,
    Map<String, String> execution,
    long parameters,
    int resumedFrom,
    List<TrainingState.Point> curve,
    double heldOutBefore,
    double heldOutAfter,
    long heldOutTokens,
    double tokensPerSecond,
    long peakBytes) {
  /** Copies the curve. */
  public FinetuneResult {
    curve = List.copyOf(curve);
  }
}
