package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.PredictorKind;
import java.io.Serializable;

/**
 * How the heads of a layer are trained. Everything that the weights depend on, besides the data.
 *
 * @param kind a trained one
 * @param seed of the start and of the shuffles
 * @param epochs at most
 * @param patience epochs without a better validation recall after which training stops
 * @param batch tokens of a step
 * @param learningRate of Adam
 * @param cosine whether the rate falls to 0 over the epochs, as half a cosine
 * @param rank rectified units; 0: none
 * @param startDecay pull of the linear map to its start, added to the gradient
 * @param unitDecay pull of the units' weights to 0
 * @param poolRows tokens that are shuffled together in memory
 */
public record TrainerConfig(
    PredictorKind kind,
    long seed,
    int epochs,
    int patience,
    int batch,
    double learningRate,
    boolean cosine,
    int rank,
    double startDecay,
    double unitDecay,
    int poolRows)
    implements Serializable {
  private static final long POOL_BYTES = 192L << 20;

  /** Checks the numbers. */
  public TrainerConfig {
    if (!kind.isTrained()) {
      throw new IllegalArgumentException(
          "Invalid predictor to train: %s, its weights are counted or copied"
              .formatted(kind.word()));
    }

    atLeast("epochs", epochs, 1);
    atLeast("patience", patience, 1);
    atLeast("batch", batch, 1);
    atLeast("rank", rank, kind == PredictorKind.RESIDUAL ? 1 : 0);
    atLeast("tokens shuffled together", poolRows, batch);
    if (!(learningRate > 0 && learningRate <= 1)) {
      throw new IllegalArgumentException(
          "Invalid learning rate: %s, above 0, at most 1".formatted(learningRate));
    }
  }

  private static void atLeast(String what, int value, int least) {
    if (value < least) {
      throw new IllegalArgumentException(
          "Invalid %s: %d, at least %d".formatted(what, value, least));
    }
  }

  /**
   * The recipe of a kind: APTMoE's for the pre-gate (Adam at a constant rate, no decay); a falling
   * rate and a pull to the start for ours, chosen on the validation sequences of the project's
   * Mixtral.
   *
   * @param hiddenSize bounds the tokens that fit in memory
   */
  public static TrainerConfig of(
      PredictorKind kind,
      long seed,
      int epochs,
      int batch,
      double learningRate,
      int rank,
      int hiddenSize) {
    boolean ours = kind != PredictorKind.PRE_GATE;
    return new TrainerConfig(
        kind,
        seed,
        epochs,
        ours ? epochs : Math.max(1, epochs / 4),
        batch,
        learningRate,
        ours,
        kind == PredictorKind.RESIDUAL ? rank : 0,
        ours ? 1e-2 : 0,
        ours ? 1e-3 : 0,
        (int) Math.max(4L * batch, Math.min(1 << 20, POOL_BYTES / 4 / Math.max(1, hiddenSize))));
  }
}
