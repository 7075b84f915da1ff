package io.expertatlas.runtime.train;

import io.expertatlas.trace.ModelShape;

/**
 * The generalized model of APTMoE's presets: post-norm layers of causal attention and ReLU experts,
 * with biases. Positions are sines and cosines that are added to the embedding.
 *
 * @param layers each a MoE layer
 * @param experts of a layer
 * @param topK experts of a token; with 1 its weight is its probability, else weights sum to 1
 * @param hidden d
 * @param inner h, of an expert
 * @param heads of attention, a divisor of d
 * @param vocabulary token ids
 * @param epsilon of the norms
 * @param tied whether the embedding is the head too
 */
public record PostNormConfig(
    int layers,
    int experts,
    int topK,
    int hidden,
    int inner,
    int heads,
    int vocabulary,
    double epsilon,
    boolean tied) {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is impossible
   */
  public PostNormConfig {
    new ModelShape(layers, experts, topK);
    if (hidden < 1 || inner < 1 || heads < 1 || vocabulary < 1 || hidden % heads != 0) {
      throw new IllegalArgumentException(
          "Invalid model: hidden size %d, inner size %d, %d heads (a divisor of the hidden size),"
                  .formatted(hidden, inner, heads)
              + " vocabulary %d, at least 1 each".formatted(vocabulary));
    }
  }

  /** The same with another number of layers. */
  public PostNormConfig withLayers(int number) {
    return new PostNormConfig(
        number, experts, topK, hidden, inner, heads, vocabulary, epsilon, tied);
  }

  /** Number of numbers. */
  public long size() {
    long expert = 2L * hidden * inner + inner + hidden;
    long layer = 4L * hidden * hidden + 8L * hidden + experts * (hidden + expert);
    return layers * layer + (tied ? 1L : 2L) * vocabulary * hidden;
  }

  /**
   * A preset of the APTMoE paper's code: S, M or L, with 32 layers.
   *
   * @throws IllegalArgumentException if there is no such preset
   */
  public static PostNormConfig preset(String name, int experts, int topK, int vocabulary) {
    return switch (name) {
      case "S" -> new PostNormConfig(32, experts, topK, 1024, 4096, 32, vocabulary, 1e-5, false);
      case "M" -> new PostNormConfig(32, experts, topK, 2048, 8192, 32, vocabulary, 1e-5, false);
      case "L" -> new PostNormConfig(32, experts, topK, 4096, 14336, 32, vocabulary, 1e-5, false);
      default ->
          throw new IllegalArgumentException("Invalid preset: %s, one of S, M, L".formatted(name));
    };
  }
}
