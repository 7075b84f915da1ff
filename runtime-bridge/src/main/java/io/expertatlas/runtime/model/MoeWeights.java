package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.Tensor;

/**
 * What a rank holds of a MoE layer.
 *
 * @param norm before the router and the experts
 * @param router the norm and the choice of experts
 * @param experts those here
 */
record MoeWeights(Norm norm, Router router, HeldExperts experts) {
  /** Norm, logits of the experts and choice, as {@link Device#normAndRoute}. */
  @FunctionalInterface
  interface Router {
    void choose(
        Device device,
        Tensor x,
        boolean renormalize,
        Tensor normed,
        Tensor logits,
        Tensor experts,
        Tensor weights);
  }

  /** A normalisation with its weights: {@code out = norm(x)}. */
  @FunctionalInterface
  interface Norm {
    void apply(Device device, Tensor x, Tensor out);
  }
}
