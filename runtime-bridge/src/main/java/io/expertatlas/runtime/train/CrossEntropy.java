package io.expertatlas.runtime.train;

import java.util.Arrays;

/** The loss of logits: {@code -log softmax(logits)[next token]}, nats. */
final class CrossEntropy {
  private CrossEntropy() {}

  /**
   * Sums the loss over the targets of a batch and turns the logits into their gradient, each
   * target's over a number of targets.
   *
   * @param logits {@code [token, V]}; afterwards {@code (softmax - one at the target) / targets}, 0
   *     for each sequence's last token
   * @param targets of the whole step
   */
  static double intoGradient(Matrix logits, TokenBatch batch, long targets) {
    int[] ids = batch.ids();
    int vocabulary = logits.columns;
    double[] values = logits.values;
    double loss = 0;
    for (int token = 0; token < ids.length; token++) {
      int at = token * vocabulary;
      if ((token + 1) % batch.length() == 0) {
        Arrays.fill(values, at, at + vocabulary, 0);
        continue;
      }

      int target = ids[token + 1];
      double targetLogit = values[at + target];
      double most = Double.NEGATIVE_INFINITY;
      for (int i = at; i < at + vocabulary; i++) {
        most = Math.max(most, values[i]);
      }

      double sum = 0;
      for (int i = at; i < at + vocabulary; i++) {
        values[i] = Math.exp(values[i] - most);
        sum += values[i];
      }

      loss += Math.log(sum) + most - targetLogit;
      double scale = 1 / (sum * targets);
      for (int i = at; i < at + vocabulary; i++) {
        values[i] *= scale;
      }

      values[at + target] -= 1.0 / targets;
    }

    return loss;
  }
}
