package io.expertatlas.trace;

/**
 * The routing shape of a Mixture-of-Experts model: what a trace of it looks like.
 *
 * @param layers number of MoE layers, in model order; dense layers do not count
 * @param experts routed experts in each MoE layer
 * @param topK experts that a token visits in each MoE layer
 */
public record ModelShape(int layers, int experts, int topK) {
  /** Largest number of experts a layer can have: expert ids are stored as unsigned 16-bit. */
  public static final int MAX_EXPERTS = 1 << 16;

  /**
   * Checks the shape.
   *
   * @throws IllegalArgumentException if a number is not positive, {@code experts > MAX_EXPERTS} or
   *     {@code topK > experts}
   */
  public ModelShape {
    if (layers < 1) {
      throw new IllegalArgumentException(
          "Invalid number of MoE layers: %d, at least 1".formatted(layers));
    }

    if (experts < 1 || experts > MAX_EXPERTS) {
      throw new IllegalArgumentException(
          "Invalid number of experts: %d, 1 to %d".formatted(experts, MAX_EXPERTS));
    }

    if (topK < 1 || topK > experts) {
      throw new IllegalArgumentException(
          "Invalid top-k: %d, 1 to the number of experts %d".formatted(topK, experts));
    }
  }

  /** Expert choices of one token: {@code layers * topK}. */
  public int choicesPerToken() {
    return layers * topK;
  }

  /** Experts of the whole model: {@code layers * experts}, also the number of global expert ids. */
  public int totalExperts() {
    return layers * experts;
  }

  /** The layer-major global id of an expert: {@code layer * experts + expert}. */
  public int globalId(int layer, int expert) {
    return layer * experts + expert;
  }

  @Override
  public String toString() {
    return "%d MoE layers x %d experts, top-%d".formatted(layers, experts, topK);
  }
}
