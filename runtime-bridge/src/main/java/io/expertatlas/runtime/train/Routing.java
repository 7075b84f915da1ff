package io.expertatlas.runtime.train;

import java.util.Arrays;

/**
 * Which experts the tokens of a layer go to, and with which weights. Chosen are the k largest
 * logits, of equal ones the lower expert first. Tokens of an expert stand in their own order, so
 * nothing here depends on where an expert is computed.
 *
 * <p>Weights are the softmax over all logits, over their sum for the chosen if renormalized.
 */
final class Routing {
  private final int topK;
  private final boolean renormalizes;
  private final Matrix probabilities; // [token, expert]
  private final int[] chosen; // [token][k]
  private final double[] weights; // [token][k]
  private final int[] slots; // [token][k] row among its expert's
  private final int[][] tokens; // [expert][row]

  private Routing(int topK, boolean renormalizes, Matrix probabilities) {
    int rows = probabilities.rows;
    this.topK = topK;
    this.renormalizes = renormalizes;
    this.probabilities = probabilities;
    this.chosen = new int[rows * topK];
    this.weights = new double[rows * topK];
    this.slots = new int[rows * topK];
    this.tokens = new int[probabilities.columns][];
  }

  /** Routes tokens by their logits {@code [token, expert]}. */
  static Routing of(Matrix logits, int topK, boolean renormalizes) {
    Routing routing = new Routing(topK, renormalizes, softmax(logits));
    int experts = logits.columns;
    int[] counts = new int[experts];
    for (int token = 0; token < logits.rows; token++) {
      routing.choose(logits, token);
      for (int j = token * topK; j < (token + 1) * topK; j++) {
        routing.slots[j] = counts[routing.chosen[j]]++;
      }
    }

    for (int expert = 0; expert < experts; expert++) {
      routing.tokens[expert] = new int[counts[expert]];
    }

    for (int j = 0; j < routing.chosen.length; j++) {
      routing.tokens[routing.chosen[j]][routing.slots[j]] = j / topK;
    }

    return routing;
  }

  private void choose(Matrix logits, int token) {
    int experts = logits.columns;
    double sum = 0;
    for (int k = 0; k < topK; k++) {
      int best = -1;
      for (int expert = 0; expert < experts; expert++) {
        if (!isChosen(token, k, expert)
            && (best < 0 || logits.at(token, expert) > logits.at(token, best))) {
          best = expert;
        }
      }

      chosen[token * topK + k] = best;
      weights[token * topK + k] = probabilities.at(token, best);
      sum += probabilities.at(token, best);
    }

    for (int k = 0; renormalizes && k < topK; k++) {
      weights[token * topK + k] /= sum;
    }
  }

  private boolean isChosen(int token, int before, int expert) {
    for (int k = 0; k < before; k++) {
      if (chosen[token * topK + k] == expert) {
        return true;
      }
    }

    return false;
  }

  private static Matrix softmax(Matrix logits) {
    Matrix out = new Matrix(logits.rows, logits.columns);
    for (int row = 0; row < logits.rows; row++) {
      int at = row * logits.columns;
      double most = Double.NEGATIVE_INFINITY;
      for (int i = 0; i < logits.columns; i++) {
        most = Math.max(most, logits.values[at + i]);
      }

      double sum = 0;
      for (int i = 0; i < logits.columns; i++) {
        out.values[at + i] = Math.exp(logits.values[at + i] - most);
        sum += out.values[at + i];
      }

      for (int i = 0; i < logits.columns; i++) {
        out.values[at + i] /= sum;
      }
    }

    return out;
  }

  /** Bytes that it takes. */
  long bytes() {
    return bytes(probabilities.rows, probabilities.columns, topK);
  }

  /** Bytes for so many tokens: probabilities, and of each choice expert, row, token and weight. */
  static long bytes(int tokens, int experts, int topK) {
    return (long) tokens * (experts * Double.BYTES + topK * (3 * Integer.BYTES + Double.BYTES));
  }

  /** Tokens of each expert. */
  int[] counts() {
    return Arrays.stream(tokens).mapToInt(rows -> rows.length).toArray();
  }

  /** The tokens of an expert, ascending. */
  int[] tokens(int expert) {
    return tokens[expert];
  }

  /**
   * Each token's sum of its experts' outputs, in order of its choices.
   *
   * @param outputs {@code [expert]} of {@code [row, H]}
   */
  Matrix combine(Matrix[] outputs, int columns) {
    return gathered(outputs, columns, true);
  }

  /** Each token's sum of its experts' rows, unweighted: gradients of what they were given. */
  Matrix sum(Matrix[] rows, int columns) {
    return gathered(rows, columns, false);
  }

  private Matrix gathered(Matrix[] rows, int columns, boolean weighted) {
    Matrix out = new Matrix(probabilities.rows, columns);
    for (int j = 0; j < chosen.length; j++) {
      double weight = weighted ? weights[j] : 1;
      int from = slots[j] * columns;
      int to = j / topK * columns;
      double[] values = rows[chosen[j]].values;
      for (int i = 0; i < columns; i++) {
        out.values[to + i] += weight * values[from + i];
      }
    }

    return out;
  }

  /** The gradient of an expert's output: its tokens' gradients times their weights. */
  Matrix outputGradient(int expert, Matrix gradient) {
    Matrix out = gradient.gather(tokens[expert]);
    for (int row = 0; row < out.rows; row++) {
      double weight = weights[choice(expert, row)];
      for (int i = 0; i < out.columns; i++) {
        out.values[row * out.columns + i] *= weight;
      }
    }

    return out;
  }

  private int choice(int expert, int row) {
    int j = tokens[expert][row] * topK;
    while (chosen[j] != expert) {
      j++;
    }

    return j;
  }

  /**
   * The gradient of the logits. With p the softmax, w the weights and g_j the product of a token's
   * gradient with choice j's output: {@code w_j (g_j - sum of w g)} for the chosen if renormalized,
   * else {@code p_e ([e chosen] g_e - sum of w g)} for all.
   */
  Matrix logitsGradient(Matrix[] outputs, Matrix gradient) {
    Matrix out = new Matrix(probabilities.rows, probabilities.columns);
    int columns = gradient.columns;
    double[] products = new double[topK];
    for (int token = 0; token < out.rows; token++) {
      double along = 0;
      for (int k = 0; k < topK; k++) {
        int j = token * topK + k;
        double[] output = outputs[chosen[j]].values;
        double product = 0;
        for (int i = 0; i < columns; i++) {
          product += gradient.values[token * columns + i] * output[slots[j] * columns + i];
        }

        products[k] = product;
        along += weights[j] * product;
      }

      int at = token * out.columns;
      for (int expert = 0; !renormalizes && expert < out.columns; expert++) {
        out.values[at + expert] = -probabilities.values[at + expert] * along;
      }

      for (int k = 0; k < topK; k++) {
        int j = token * topK + k;
        out.values[at + chosen[j]] +=
            renormalizes ? weights[j] * (products[k] - along) : weights[j] * products[k];
      }
    }

    return out;
  }
}
