package io.expertatlas.predictor;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Predicts without hidden states: popularity, previous token, affinity. Tensors: {@code popularity
 * [layers, experts]}, shares of the choices of each layer; affinity also {@code affinity
 * [lookahead, layers, experts, experts]}, P(expert of layer l + h | expert of layer l).
 */
public final class TablePredictor implements ExpertPredictor {
  /** Added to the score of an expert that the previous token chose, less its rank. */
  private static final float CHOSEN_BEFORE = 16;

  private final PredictorKind kind;
  private final PredictedModel model;
  private final int lookahead;
  private final float[] popularity; // [layer][expert]
  private final float[] affinity; // [head-out - 1][layer][from][to], or empty
  private final float[] logPopularity; // [layer][expert]

  private TablePredictor(
      PredictorKind kind,
      PredictedModel model,
      int lookahead,
      float[] popularity,
      float[] affinity) {
    this.kind = kind;
    this.model = model;
    this.lookahead = lookahead;
    this.popularity = popularity;
    this.affinity = affinity;
    this.logPopularity = new float[popularity.length];
    for (int i = 0; i < popularity.length; i++) {
      logPopularity[i] = (float) Math.log(popularity[i]);
    }
  }

  /**
   * The predictor of counts.
   *
   * @param kind one that reads no hidden state
   */
  public static TablePredictor of(
      PredictorKind kind, PredictedModel model, int lookahead, RoutingCounts counts) {
    boolean pairs = kind == PredictorKind.AFFINITY;
    return new TablePredictor(
        kind,
        model,
        lookahead,
        counts.popularity(),
        pairs ? counts.affinity(lookahead) : new float[0]);
  }

  /** The predictor of the tensors that {@link #tensors} gives. */
  static TablePredictor ofTensors(
      PredictorKind kind, PredictedModel model, int lookahead, TensorTable tensors) {
    int layers = model.shape().layers();
    int experts = model.shape().experts();
    return new TablePredictor(
        kind,
        model,
        lookahead,
        tensors.take("popularity", layers, experts),
        kind == PredictorKind.AFFINITY
            ? tensors.take("affinity", lookahead, layers, experts, experts)
            : new float[0]);
  }

  @Override
  public PredictorKind kind() {
    return kind;
  }

  @Override
  public PredictedModel model() {
    return model;
  }

  @Override
  public int lookahead() {
    return lookahead;
  }

  @Override
  public void predict(int layer, TokenState token, Scratch scratch, float[] into) {
    int experts = model.shape().experts();
    int topK = model.shape().topK();
    for (int h = 0; h < heads(layer); h++) {
      int target = layer + 1 + h;
      System.arraycopy(logPopularity, target * experts, into, h * experts, experts);
      if (kind == PredictorKind.PREVIOUS_TOKEN && token.hasPrevious()) {
        for (int rank = 0; rank < topK; rank++) {
          into[h * experts + token.previous()[target * topK + rank]] += CHOSEN_BEFORE - rank;
        }
      } else if (kind == PredictorKind.AFFINITY) {
        for (int to = 0; to < experts; to++) {
          float sum = 0;
          for (int from : token.chosen()) {
            sum += affinity[((h * model.shape().layers() + layer) * experts + from) * experts + to];
          }

          into[h * experts + to] = (float) Math.log(sum / topK);
        }
      }
    }
  }

  @Override
  public long multiplyAdds(int layer) {
    return 0;
  }

  @Override
  public Map<String, WeightTensor> tensors() {
    Map<String, WeightTensor> tensors = new LinkedHashMap<>();
    int layers = model.shape().layers();
    int experts = model.shape().experts();
    tensors.put("popularity", new WeightTensor(List.of(layers, experts), popularity));
    if (affinity.length > 0) {
      tensors.put(
          "affinity", new WeightTensor(List.of(lookahead, layers, experts, experts), affinity));
    }

    return tensors;
  }
}
