package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.AffineHeads;
import io.expertatlas.predictor.AffinePredictor;
import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.RoutingCounts;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.store.StateStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What is trained on a store: the rows of each part of the split, counts of the training rows, and
 * the tasks of a predictor's layers. Immutable.
 */
public final class TrainingPlan {
  private static final int COUNTED = 1 << 14; // rows read at a time

  private final StateStore store;
  private final int lookahead;
  private final int[] train;
  private final int[] validation;
  private final RoutingCounts counts;
  private final Optional<AffinePredictor> nextGate;

  /**
   * Sorts the rows of a store by their sequences' part and counts the routes of the training part.
   *
   * @param lookahead greatest head-out
   * @param nextGate the model's own gates, from which maps start; empty: they start at random
   */
  public TrainingPlan(
      StateStore store, SequenceSplit split, int lookahead, Optional<AffinePredictor> nextGate) {
    this.store = store;
    this.lookahead = lookahead;
    this.nextGate = nextGate;
    int[] sequences = store.sequences();
    this.train = rows(sequences, split, Part.TRAIN);
    this.validation = rows(sequences, split, Part.VALIDATION);
    this.counts = count();
  }

  private static int[] rows(int[] sequences, SequenceSplit split, Part part) {
    int[] rows = new int[sequences.length];
    int count = 0;
    for (int row = 0; row < rows.length; row++) {
      if (split.part(sequences[row]) == part) {
        rows[count++] = row;
      }
    }

    return Arrays.copyOf(rows, count);
  }

  private RoutingCounts count() {
    RoutingCounts counted = new RoutingCounts(store.model().shape(), lookahead);
    int width = store.model().shape().choicesPerToken();
    short[] experts = new short[Math.min(COUNTED, store.rows()) * width];
    int next = 0;
    for (int from = 0; from < store.rows(); from += COUNTED) {
      int rows = Math.min(COUNTED, store.rows() - from);
      store.readExperts(from, rows, experts, 0);
      while (next < train.length && train[next] < from + rows) {
        counted.add(experts, (train[next++] - from) * width);
      }
    }

    return counted;
  }

  /** Counts of the training rows. */
  public RoutingCounts counts() {
    return counts;
  }

  /** Tokens that are trained on. */
  public int trainTokens() {
    return train.length;
  }

  /** Tokens that choose the epoch. */
  public int validationTokens() {
    return validation.length;
  }

  /**
   * The tasks of a predictor, one for each layer but the last.
   *
   * @param fromGates whether the linear map starts at the gates, if they are known
   * @param checkpoints folder for checkpoints
   */
  public List<LayerTask> tasks(TrainerConfig config, boolean fromGates, Path checkpoints) {
    PredictedModel model = store.model();
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
              store.folder().toString(),
              train,
              validation,
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
        kind, store.model(), lookahead, trained.stream().map(TrainedLayer::heads).toList());
  }
}
