package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Tensor;

/**
 * What a rank holds of a MoE layer.
 *
 * @param norm before the router and the experts
 * @param router the logits of all experts
 * @param local I32 {@code [E]}: index of an expert among those here, -1 if it is elsewhere
 * @param experts those here
 */
record MoeWeights(Norm norm, Router router, Tensor local, ExpertWeights experts) {
  /** The logits of the experts. */
  @FunctionalInterface
  interface Router {
    void logits(Device device, Tensor normed, Tensor out);
  }

  /** A normalisation with its weights: {@code out = norm(x)}. */
  @FunctionalInterface
  interface Norm {
    void apply(Device device, Tensor x, Tensor out);
  }
}
