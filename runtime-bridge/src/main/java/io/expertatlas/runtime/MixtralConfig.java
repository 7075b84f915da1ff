package io.expertatlas.runtime;

import io.expertatlas.trace.ModelShape;

/**
 * MixtralForCausalLM (arXiv 2401.04088): RMSNorm, rotary embedding, grouped-query attention, SwiGLU
 * experts in every layer.
 *
 * @param layers decoder layers, each a MoE layer
 * @param experts experts of a layer
 * @param topK experts of a token
 * @param hidden H
 * @param inner F, of an expert
 * @param heads query heads
 * @param keyHeads key and value heads, a divisor of the query heads
 * @param headSize D
 * @param vocabulary token ids
 * @param maxPositions positions it was made for
 * @param normEpsilon of RMSNorm
 * @param ropeTheta base of the rotary frequencies
 * @param beginOfSequence id before every prompt, -1 if none
 * @param endOfSequence id that ends a sequence
 */
public record MixtralConfig(
    int layers,
    int experts,
    int topK,
    int hidden,
    int inner,
    int heads,
    int keyHeads,
    int headSize,
    int vocabulary,
    int maxPositions,
    double normEpsilon,
    double ropeTheta,
    int beginOfSequence,
    int endOfSequence)
    implements ModelConfig {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is impossible
   */
  public MixtralConfig {
    Checks.positive("hidden_size", hidden);
    Checks.positive("intermediate_size", inner);
    Checks.positive("num_attention_heads", heads);
    Checks.positive("num_key_value_heads", keyHeads);
    Checks.positive("head_dim", headSize);
    Checks.positive("vocab_size", vocabulary);
    Checks.positive("max_position_embeddings", maxPositions);
    Checks.divisor("num_key_value_heads", keyHeads, "num_attention_heads", heads);
    Checks.divisor("the factor 2 of rotary halves", 2, "head_dim", headSize);
    new ModelShape(layers, experts, topK);
  }

  /** The same with another number of layers. */
  public MixtralConfig withLayers(int number) {
    return new MixtralConfig(
        number,
        experts,
        topK,
        hidden,
        inner,
        heads,
        keyHeads,
        headSize,
        vocabulary,
        maxPositions,
        normEpsilon,
        ropeTheta,
        beginOfSequence,
        endOfSequence);
  }

  @Override
  public String architecture() {
    return "MixtralForCausalLM";
  }

  @Override
  public ModelShape shape() {
    return new ModelShape(layers, experts, topK);
  }
}
