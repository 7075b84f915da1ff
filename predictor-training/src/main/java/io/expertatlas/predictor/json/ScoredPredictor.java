package io.expertatlas.predictor.json;

import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictionMetrics;
import java.util.List;

/**
 * A predictor with its figures.
 *
 * @param name in tables
 * @param predictor what was scored
 * @param headOuts figures at head-outs 1, 2, ...
 */
public record ScoredPredictor(
    String name, ExpertPredictor predictor, List<PredictionMetrics> headOuts) {
  /** Copies the list. */
  public ScoredPredictor {
    headOuts = List.copyOf(headOuts);
  }

  /** Multiply-adds a token and layer, of the layer that costs most. */
  public long multiplyAdds() {
    long most = 0;
    for (int layer = 0; layer < predictor.model().shape().layers(); layer++) {
      most = Math.max(most, predictor.multiplyAdds(layer));
    }

    return most;
  }
}
