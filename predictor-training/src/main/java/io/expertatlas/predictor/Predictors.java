package io.expertatlas.predictor;

import java.util.Map;

/** Makes predictors of their tensors. */
public final class Predictors {
  private Predictors() {}

  /**
   * The predictor of a kind.
   *
   * @param tensors all of them and no other
   * @param file for messages
   * @throws PredictorFormatException if a tensor is missing, unknown, of another shape or not
   *     finite
   */
  public static ExpertPredictor of(
      PredictorKind kind,
      PredictedModel model,
      int lookahead,
      Map<String, WeightTensor> tensors,
      Object file) {
    TensorTable table = new TensorTable(tensors, file);
    ExpertPredictor predictor =
        kind.readsHidden()
            ? AffinePredictor.ofTensors(kind, model, lookahead, table)
            : TablePredictor.ofTensors(kind, model, lookahead, table);
    table.checkAllTaken();
    return predictor;
  }
}
