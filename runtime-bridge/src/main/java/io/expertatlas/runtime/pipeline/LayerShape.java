package io.expertatlas.runtime.pipeline;

/**
 * The sizes of a layer: attention with its norms, a gate, and experts of two or three matrices.
 *
 * @param dim of the model, d
 * @param hidden of an expert, h
 * @param expertMatrices 2 (biased linears with ReLU between) or 3 (gated, without bias)
 * @param bytesPerValue of weights and activations
 */
public record LayerShape(int dim, int hidden, int expertMatrices, int bytesPerValue) {
  /**
   * Checks the sizes.
   *
   * @throws IllegalArgumentException if one is not positive, or the matrices are not 2 or 3
   */
  public LayerShape {
    if (dim < 1 || hidden < 1 || bytesPerValue < 1 || expertMatrices < 2 || expertMatrices > 3) {
      throw new IllegalArgumentException(
          "Invalid layer: dim %d, hidden %d, %d bytes a value, at least 1 each; %d matrices of an expert, 2 or 3"
              .formatted(dim, hidden, bytesPerValue, expertMatrices));
    }
  }

  /** Parameters of an expert: 2dh + d + h, or 3dh. */
  public long expertParameters() {
    return expertMatrices == 2 ? 2L * dim * hidden + dim + hidden : 3L * dim * hidden;
  }

  /** Parameters of the attention: 4d&sup2; + 4d. */
  public long attentionParameters() {
    return 4L * dim * dim + 4L * dim;
  }

  /** Parameters of the gate of so many experts: (d + 1) E. */
  public long gateParameters(int experts) {
    return (dim + 1L) * experts;
  }

  /** Bytes of an expert's weights. */
  public long expertBytes() {
    return expertParameters() * bytesPerValue;
  }

  /** Bytes of the attention's weights. */
  public long attentionBytes() {
    return attentionParameters() * bytesPerValue;
  }

  /** Bytes of the gate's weights. */
  public long gateBytes(int experts) {
    return gateParameters(experts) * bytesPerValue;
  }

  /** Bytes of a layer's weights. */
  public long layerBytes(int experts) {
    return attentionBytes() + gateBytes(experts) + experts * expertBytes();
  }

  /** Bytes of a token's hidden state. */
  public long tokenBytes() {
    return (long) dim * bytesPerValue;
  }

  /** Multiply-adds of a token in an expert, times 2. */
  public double expertFlops(int tokens) {
    return 2.0 * expertMatrices * dim * hidden * tokens;
  }

  /** Multiply-adds of tokens in attention and gate, times 2; sequences of a length. */
  public double attentionFlops(int tokens, int sequence, int experts) {
    return tokens * (8.0 * dim * dim + 4.0 * sequence * dim + 2.0 * dim * experts);
  }
}
