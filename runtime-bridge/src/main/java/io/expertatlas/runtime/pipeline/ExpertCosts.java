package io.expertatlas.runtime.pipeline;

/** What the pieces of a layer take, as far as decisions need it; nanoseconds. */
public interface ExpertCosts {
  /** An expert on the CPU for so many tokens, activations there and back included. */
  double cpuNanos(int tokens, boolean backward);

  /** An expert on the GPU for so many tokens. */
  double gpuNanos(int tokens, boolean backward);

  /**
   * What the GPU computes of a layer besides experts, for tokens that make so many choices; 0 if
   * that is not known.
   */
  default double layerNanos(int choices, boolean backward) {
    return 0;
  }

  /** Copying an expert's weights to the GPU. */
  double loadExpertNanos();

  /** Copying the weights of attention and gate to the GPU. */
  double loadBaseNanos();
}
