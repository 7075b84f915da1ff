package io.expertatlas.predictor.store;

import io.expertatlas.trace.RouterStates.Scores;
import java.util.Arrays;
import java.util.function.IntUnaryOperator;

/** What a gate gives its experts: not negative, summing to 1. */
public final class GateDistribution {
  private GateDistribution() {}

  /**
   * Makes a distribution of scores, in their place: softmax of logits; probabilities and masks by
   * their sum; without any, even over the choices.
   *
   * @param kind what the scores are
   * @param scores one for each expert; replaced
   * @param chosen gives the expert of a rank
   * @param topK ranks
   */
  public static void of(Scores kind, float[] scores, IntUnaryOperator chosen, int topK) {
    if (kind == Scores.LOGITS) {
      float most = Float.NEGATIVE_INFINITY;
      for (float logit : scores) {
        most = Math.max(most, logit);
      }

      for (int expert = 0; expert < scores.length; expert++) {
        scores[expert] = (float) Math.exp(scores[expert] - most);
      }
    }

    double sum = 0;
    for (int expert = 0; kind != Scores.NONE && expert < scores.length; expert++) {
      sum += scores[expert];
    }

    if (sum <= 0) {
      Arrays.fill(scores, 0f);
      for (int rank = 0; rank < topK; rank++) {
        scores[chosen.applyAsInt(rank)] = 1f / topK;
      }

      return;
    }

    for (int expert = 0; expert < scores.length; expert++) {
      scores[expert] = (float) (scores[expert] / sum);
    }
  }
}
