package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.AffineHeads;
import io.expertatlas.predictor.AffinePredictor;
import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.RoutingCounts;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * How predictors of a model are trained: the tasks of their layers, and what becomes of the trained
 * ones. Immutable.
 */
public final class TrainingPlan {
  private final PredictedModel model;
  private final int lookahead;
  private final RoutingCounts counts;
  private final Optional<AffinePredictor> nextGate;

  /**
   * Makes a plan.
   *
   * @param lookahead greatest head-out
   * @param counts of the tokens to train on
   * @param nextGate the model's own gates, from which maps start; empty: they start at random
   */
  public TrainingPlan(
      PredictedModel model,
      int lookahead,
      RoutingCounts counts,
      Optional<AffinePredictor> nextGate) {
    this.model = model;
    this.lookahead = lookahead;
    this.counts = counts;
    this.nextGate = nextGate;
  }

  /**
   * The tasks of a predictor, one for each layer but the last.
   *
   * @param fromGates whether the linear map starts at the gates, if they are known
   * @param checkpoints folder for checkpoints
   */
  public List<LayerTask> tasks(TrainerConfig config, boolean fromGates, Path checkpoints) {
    int experts = model.shape().experts();
    int layers = model.shape().layers();
    float[] affinity =
        config.kind() == PredictorKind.PRE_GATE ? new float[0] : counts.affinity(lookahead);
    List<LayerTask> tasks = new ArrayList<>();
    for (int layer = 0; layer < layers - 1; layer++) {
      int heads = model.heads(layer, lookahead);
      Optional<AffineHeads> start = fromGates ? gates(layer) : Optional.empty();
      float[] logAffinity = new float[affinity.length == 0 ? 0 : heads * experts * experts];
      for (int i = 0; i < logAffinity.length; i++) {
        int head = i / (experts * experts);
        int place = (head * layers + layer) * experts * experts + i % (experts * experts);
        logAffinity[i] = (float) Math.log(affinity[place]);
      }

      tasks.add(
          new LayerTask(
              config,
              layer,
              heads,
              start.map(AffineHeads::weight).orElse(new float[0]),
              start.map(AffineHeads::bias).orElse(new float[0]),
              logAffinity,
              checkpoints
                  .resolve("%s-%d.checkpoint".formatted(config.kind().word(), layer))
                  .toString()));
    }

    return tasks;
  }

  private Optional<AffineHeads> gates(int layer) {
    return nextGate.map(gate -> gate.heads().get(layer));
  }

  /** The predictor of trained layers, which stand in their order. */
  public ExpertPredictor predictor(PredictorKind kind, List<TrainedLayer> trained) {
    return new AffinePredictor(
        kind, model, lookahead, trained.stream().map(TrainedLayer::heads).toList());
  }
}
