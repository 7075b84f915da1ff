package io.expertatlas.predictor;

/**
 * What is known of a token in a layer when a predictor is asked: the caller fills the arrays, which
 * are reused. Not safe for several threads.
 */
public final class TokenState {
  private final float[] hidden; // [hidden]
  private final int[] chosen; // [rank]
  private final int[] previous; // [layer][rank]
  private boolean previousKnown;

  /** Room for the tokens of a model. */
  public TokenState(PredictedModel model) {
    this.hidden = new float[model.hiddenSize()];
    this.chosen = new int[model.shape().topK()];
    this.previous = new int[model.shape().choicesPerToken()];
  }

  /** The input of the layer's router, to be filled. */
  public float[] hidden() {
    return hidden;
  }

  /** The experts that the token chose in the layer, by rank, to be filled. */
  public int[] chosen() {
    return chosen;
  }

  /**
   * The previous token's choices, {@code [layer][rank]}, to be filled; see {@link #setPrevious}.
   */
  public int[] previous() {
    return previous;
  }

  /** Says whether the sequence's previous token is known. */
  public void setPrevious(boolean known) {
    previousKnown = known;
  }

  /** Whether {@link #previous} holds anything. */
  public boolean hasPrevious() {
    return previousKnown;
  }
}
