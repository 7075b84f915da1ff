package io.expertatlas.runtime;

import io.expertatlas.trace.ModelShape;

/**
 * NllbMoeForConditionalGeneration (arXiv 2207.04672): an encoder and a decoder, layer norm before
 * each block, sinusoidal positions, ReLU experts in every sparse-step-th layer.
 *
 * @param encoderLayers layers of the encoder
 * @param decoderLayers layers of the decoder
 * @param encoderSparseStep every so many layers the last one is a MoE layer
 * @param decoderSparseStep the same, of the decoder
 * @param experts experts of a MoE layer
 * @param hidden H, {@code d_model}
 * @param encoderInner F of the encoder's dense and expert blocks
 * @param decoderInner F of the decoder's
 * @param encoderHeads attention heads of the encoder
 * @param decoderHeads attention heads of the decoder
 * @param vocabulary token ids
 * @param maxPositions positions it was made for
 * @param scaleEmbedding whether embeddings are multiplied by sqrt(H)
 * @param routerBias whether the router has a bias
 * @param tokenDropout {@code moe_token_dropout}, share of expert outputs that training masked; at
 *     inference an expert's output is multiplied by 1 minus it
 * @param padding id of padding; positions count from it
 * @param decoderStart first id of the decoder's input
 * @param endOfSequence id that ends a sequence
 */
public record NllbMoeConfig(
    int encoderLayers,
    int decoderLayers,
    int encoderSparseStep,
    int decoderSparseStep,
    int experts,
    int hidden,
    int encoderInner,
    int decoderInner,
    int encoderHeads,
    int decoderHeads,
    int vocabulary,
    int maxPositions,
    boolean scaleEmbedding,
    boolean routerBias,
    double tokenDropout,
    int padding,
    int decoderStart,
    int endOfSequence)
    implements ModelConfig {
  /** Experts of a token: the architecture knows only 2. */
  public static final int TOP_K = 2;

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is impossible
   */
  public NllbMoeConfig {
    Checks.positive("encoder_layers", encoderLayers);
    Checks.positive("decoder_layers", decoderLayers);
    Checks.positive("encoder_sparse_step", encoderSparseStep);
    Checks.positive("decoder_sparse_step", decoderSparseStep);
    Checks.positive("d_model", hidden);
    Checks.positive("encoder_ffn_dim", encoderInner);
    Checks.positive("decoder_ffn_dim", decoderInner);
    Checks.positive("encoder_attention_heads", encoderHeads);
    Checks.positive("decoder_attention_heads", decoderHeads);
    Checks.positive("vocab_size", vocabulary);
    Checks.positive("max_position_embeddings", maxPositions);
    Checks.divisor("encoder_attention_heads", encoderHeads, "d_model", hidden);
    Checks.divisor("decoder_attention_heads", decoderHeads, "d_model", hidden);
    Checks.divisor("the halves of sinusoidal positions, 2,", 2, "d_model", hidden);
    if (!(tokenDropout >= 0 && tokenDropout < 1)) {
      throw new IllegalArgumentException(
          "Invalid moe_token_dropout: %s, expected 0 or more and less than 1"
              .formatted(tokenDropout));
    }

    new ModelShape(
        encoderLayers / encoderSparseStep + decoderLayers / decoderSparseStep, experts, TOP_K);
  }

  @Override
  public String architecture() {
    return "NllbMoeForConditionalGeneration";
  }

  /** MoE layers of the encoder. */
  public int encoderMoeLayers() {
    return encoderLayers / encoderSparseStep;
  }

  /** MoE layers of the decoder. */
  public int decoderMoeLayers() {
    return decoderLayers / decoderSparseStep;
  }

  /** The encoder's MoE layers, then the decoder's. */
  @Override
  public ModelShape shape() {
    return new ModelShape(encoderMoeLayers() + decoderMoeLayers(), experts, TOP_K);
  }
}
