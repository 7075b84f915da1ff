package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.json.GateWeights;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import java.nio.file.Path;

/**
 * Checks that a checkpoint's gates are those of a trace: on its first tokens they must give the
 * recorded router logits. Recorded probabilities and masks are not checked.
 */
final class GateCheck {
  private static final int TOKENS = 64; // at most
  private static final double TOLERANCE = 0.05; // of the logits' root mean square; half floats

  private GateCheck() {}

  static void check(GateWeights gates, Path checkpoint, RouterStates states) {
    if (states.scores() != Scores.LOGITS) {
      return;
    }

    int tokens = Math.min(TOKENS, states.tokens());
    int experts = states.routes().shape().experts();
    float[] hidden = new float[states.hiddenSize()];
    for (int layer = 0; layer < states.routes().shape().layers(); layer++) {
      double squares = 0;
      double errors = 0;
      for (int token = 0; token < tokens; token++) {
        states.copyHidden(token, layer, hidden, 0);
        for (int expert = 0; expert < experts; expert++) {
          double recorded = states.score(token, layer, expert);
          double given = logit(gates, layer, expert, hidden);
          squares += recorded * recorded;
          errors += (recorded - given) * (recorded - given);
        }
      }

      if (errors > TOLERANCE * TOLERANCE * squares) {
        throw new PredictorFormatException(
            "Cannot use the gates of %s: in layer %d they miss the trace's router logits by %.3f of %.3f (root mean squares of the first tokens), at most %.0f %% is expected"
                .formatted(
                    checkpoint,
                    layer,
                    Math.sqrt(errors / tokens / experts),
                    Math.sqrt(squares / tokens / experts),
                    100 * TOLERANCE));
      }
    }
  }

  private static double logit(GateWeights gates, int layer, int expert, float[] hidden) {
    double sum = gates.biases()[layer].length == 0 ? 0 : gates.biases()[layer][expert];
    float[] weights = gates.weights()[layer];
    for (int i = 0; i < hidden.length; i++) {
      sum += weights[expert * hidden.length + i] * hidden[i];
    }

    return sum;
  }
}
