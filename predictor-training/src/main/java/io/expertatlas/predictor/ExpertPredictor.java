package io.expertatlas.predictor;

import java.util.Map;

/**
 * Tells in a layer which experts a token will visit in later layers. Immutable; {@link #predict} is
 * safe for several threads with a {@link Scratch} each.
 */
public interface ExpertPredictor {
  /** What it is. */
  PredictorKind kind();

  /** The model that it was made for. */
  PredictedModel model();

  /** Greatest head-out: layer l predicts layers l + 1 to l + lookahead, as far as there are. */
  int lookahead();

  /**
   * Scores the experts of the next layers: the greater, the likelier. The softmax of the scores of
   * a head-out is the distribution that is predicted.
   *
   * @param layer in which the token is, with its router's input and choice known
   * @param token what is known of it
   * @param scratch of {@link #scratch}
   * @param into {@code [head-out - 1][expert]}, at least {@code heads(layer) * experts} values
   */
  void predict(int layer, TokenState token, Scratch scratch, float[] into);

  /** Multiply-adds of one token in a layer, table look-ups left out. */
  long multiplyAdds(int layer);

  /** Its weights by name, in a fixed order. */
  Map<String, WeightTensor> tensors();

  /** Room that {@link #predict} works in. */
  default Scratch scratch() {
    return new Scratch(0, 0);
  }

  /** How many later layers a layer predicts. */
  default int heads(int layer) {
    return model().heads(layer, lookahead());
  }

  /**
   * Layers between the moment when a prediction can be made and the layer it is for. What needs no
   * state of the token itself is known before its layer 0.
   */
  default int leadLayers(int layer, int headOut) {
    return switch (kind()) {
      case POPULARITY, PREVIOUS_TOKEN -> layer + headOut + 1;
      case AFFINITY, NEXT_GATE, PRE_GATE, AFFINE_ROUTE, RESIDUAL -> headOut;
    };
  }
}
