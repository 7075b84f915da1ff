package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.ExpertCosts;

/** What each piece of work takes on a machine, nanoseconds. */
public interface WorkTimes extends ExpertCosts {
  /** Attention and gate of a layer for a micro-batch, on the GPU. */
  double attentionNanos(boolean backward);

  /** Copying the weights of a layer's attention to the GPU. */
  double loadAttentionNanos();

  /** Copying the weights of a layer's gate to the GPU. */
  double loadGateNanos();

  @Override
  default double loadBaseNanos() {
    return loadAttentionNanos() + loadGateNanos();
  }

  /** Copying the gradients of a layer's attention and gate to the host. */
  double storeBaseNanos();

  /** Copying the gradients of an expert to the host. */
  double storeExpertNanos();

  /** A micro-batch's activations from a GPU to another. */
  double sendNanos(int fromGpu, int toGpu);

  /**
   * How many copies at full speed the links under a root complex carry at once; may be infinite.
   */
  double rootComplexCapacity();
}
