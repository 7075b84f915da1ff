package io.expertatlas.runtime.matrix;

import java.util.Arrays;

/** The loss of logits: {@code -log softmax(logits)[target]}, nats. */
final class CrossEntropy {
  private CrossEntropy() {}

  /** See {@link Matrix#crossEntropy}. */
  static double intoGradient(DoubleMatrix logits, int[] targets, double scale) {
    int vocabulary = logits.columns;
    double[] values = logits.values;
    double loss = 0;
    for (int token = 0; token < targets.length; token++) {
      int at = token * vocabulary;
      int target = targets[token];
      if (target < 0) {
        Arrays.fill(values, at, at + vocabulary, 0);
        continue;
      }

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
      double share = scale / sum;
      for (int i = at; i < at + vocabulary; i++) {
        values[i] *= share;
      }

      values[at + target] -= scale;
    }

    return loss;
  }
}
