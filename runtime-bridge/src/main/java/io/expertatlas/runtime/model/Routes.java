package io.expertatlas.runtime.model;

import io.expertatlas.trace.ModelShape;

/** What the routers of some MoE layers chose for the tokens of a step. */
public final class Routes {
  private final Step step;
  private final ModelShape shape;
  private final int firstLayer;
  private final short[] experts; // [token][layer][rank], unsigned
  private final float[] weights; // [token][layer][rank]

  Routes(Step step, ModelShape shape, int firstLayer) {
    this.step = step;
    this.shape = shape;
    this.firstLayer = firstLayer;
    this.experts = new short[Math.multiplyExact(step.tokens(), shape.choicesPerToken())];
    this.weights = new float[experts.length];
  }

  void set(int token, int layer, int rank, int expert, float weight) {
    int at = (token * shape.layers() + layer) * shape.topK() + rank;
    experts[at] = (short) expert;
    weights[at] = weight;
  }

  /** The tokens. */
  public Step step() {
    return step;
  }

  /** The MoE layers that the tokens went through. */
  public ModelShape shape() {
    return shape;
  }

  /** Which of the model's MoE layers is the first one here. */
  public int firstLayer() {
    return firstLayer;
  }

  /** {@code [token][layer][rank]}, unsigned. */
  public short[] experts() {
    return experts.clone();
  }

  /** Copies the choices of a token, {@code [layer][rank]}, to a place in arrays. */
  public void copy(int token, short[] intoExperts, float[] intoWeights, int at) {
    int width = shape.choicesPerToken();
    System.arraycopy(experts, token * width, intoExperts, at, width);
    System.arraycopy(weights, token * width, intoWeights, at, width);
  }
}
