package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Choices;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * Which experts the tokens of a layer go to, and with which weights. Chosen are the k largest
 * logits, of equal ones the lower expert first. Tokens of an expert stand in their own order, so
 * nothing here depends on where an expert is computed.
 *
 * <p>Weights are the softmax over all logits, over their sum for the chosen if renormalized.
 */
final class Routing {
  private static final int PART = 256; // tokens of a thread at a time

  private final int topK;
  private final boolean renormalizes;
  private final int rows;
  private final int experts;
  private final double[] probabilities; // [token][expert]; nothing if renormalized
  private final int[] chosen; // [token][k]
  private final double[] weights; // [token][k]
  private final int[] slots; // [token][k] row among its expert's
  private final int[][] tokens; // [expert][row]
  private final int[][] places; // [expert][row] in chosen

  private Routing(int topK, boolean renormalizes, int rows, int experts, int[] chosen) {
    this.topK = topK;
    this.rows = rows;
    this.experts = experts;
    this.renormalizes = renormalizes;
    this.probabilities = new double[renormalizes ? 0 : rows * experts];
    this.chosen = chosen;
    this.weights = new double[rows * topK];
    this.slots = new int[rows * topK];
    this.tokens = new int[experts][];
    this.places = new int[experts][];
  }

  /** Routes tokens by their logits {@code [token, expert]}. */
  static Routing of(Matrix logits, int topK, boolean renormalizes) {
    Matrix.Largest largest = logits.largest(topK, !renormalizes);
    int experts = logits.columns();
    Routing routing = new Routing(topK, renormalizes, logits.rows(), experts, largest.columns());
    int[] counts = new int[experts];
    inParts(logits.rows(), token -> routing.weigh(largest.numbers(), largest.all(), token));
    for (int j = 0; j < routing.chosen.length; j++) {
      routing.slots[j] = counts[routing.chosen[j]]++;
    }

    for (int expert = 0; expert < experts; expert++) {
      routing.tokens[expert] = new int[counts[expert]];
      routing.places[expert] = new int[counts[expert]];
    }

    for (int j = 0; j < routing.chosen.length; j++) {
      routing.tokens[routing.chosen[j]][routing.slots[j]] = j / topK;
      routing.places[routing.chosen[j]][routing.slots[j]] = j;
    }

    return routing;
  }

  /** Tokens side by side on the JVM's common pool if they are many. */
  private static void inParts(int tokens, IntConsumer work) {
    int parts = (tokens + PART - 1) / PART;
    IntStream.range(0, parts)
        .parallel()
        .forEach(
            part -> {
              for (int t = part * PART; t < Math.min(tokens, (part + 1) * PART); t++) {
                work.accept(t);
              }
            });
  }

  /** The softmax over the chosen alone is that over all over its sum for the chosen. */
  private void weigh(double[] ofChosen, double[] all, int token) {
    double most = ofChosen[token * topK];
    double sum = 0;
    for (int j = token * topK; j < (token + 1) * topK; j++) {
      weights[j] = Math.exp(ofChosen[j] - most);
      sum += weights[j];
    }

    if (!renormalizes) {
      sum = softmax(all, token, most);
    }

    for (int j = token * topK; j < (token + 1) * topK; j++) {
      weights[j] /= sum;
    }
  }

  /** All probabilities; returns what they were divided by. */
  private double softmax(double[] logits, int token, double most) {
    int at = token * experts;
    double sum = 0;
    for (int i = at; i < at + experts; i++) {
      probabilities[i] = Math.exp(logits[i] - most);
      sum += probabilities[i];
    }

    for (int i = at; i < at + experts; i++) {
      probabilities[i] /= sum;
    }

    return sum;
  }

  /** Bytes that it takes. */
  long bytes() {
    return bytes(rows, experts, topK, renormalizes);
  }

  /**
   * Bytes for so many tokens: probabilities, if they are needed, and of each choice expert, row,
   * token, place and weight.
   */
  static long bytes(int tokens, int experts, int topK, boolean renormalizes) {
    int probabilities = renormalizes ? 0 : experts * Double.BYTES;
    return (long) tokens * (probabilities + topK * (4 * Integer.BYTES + Double.BYTES));
  }

  /** Tokens of each expert. */
  int[] counts() {
    return Arrays.stream(tokens).mapToInt(rows -> rows.length).toArray();
  }

  /** The tokens of experts, each one's ascending, behind those of the one before. */
  int[] tokens(List<Integer> of) {
    int[] all = new int[of.stream().mapToInt(expert -> tokens[expert].length).sum()];
    int first = 0;
    for (int expert : of) {
      System.arraycopy(tokens[expert], 0, all, first, tokens[expert].length);
      first += tokens[expert].length;
    }

    return all;
  }

  /** Rows of the experts' tokens, of some experts in a matrix or of each in its own. */
  final class Rows {
    private final Matrix[] matrices = new Matrix[experts];
    private final int[] firsts = new int[experts]; // an expert's first row of its matrix

    private Rows() {}

    /** Adds those of experts, one's behind those of the one before. */
    void put(List<Integer> of, Matrix rows) {
      int first = 0;
      for (int expert : of) {
        matrices[expert] = rows;
        firsts[expert] = first;
        first += tokens[expert].length;
      }
    }

    private Choices choices() {
      int[] rowsOfMatrices = new int[slots.length];
      for (int j = 0; j < slots.length; j++) {
        rowsOfMatrices[j] = firsts[chosen[j]] + slots[j];
      }

      return new Choices(topK, chosen, rowsOfMatrices);
    }
  }

  /** Nobody's rows yet. */
  Rows rows() {
    return new Rows();
  }

  /**
   * Each token's sum of its experts' outputs, in order of its choices.
   *
   * @param outputs {@code [row, H]}
   */
  Matrix combine(Rows outputs, int columns, MatrixDevice device) {
    return device.combine(outputs.matrices, columns, outputs.choices(), weights);
  }

  /** Each token's sum of its experts' rows, unweighted: gradients of what they were given. */
  Matrix sum(Rows inputs, int columns, MatrixDevice device) {
    return device.combine(inputs.matrices, columns, inputs.choices(), null);
  }

  /**
   * The gradients of experts' outputs, one's rows behind those of the one before: their tokens'
   * gradients times their weights.
   */
  Matrix outputGradient(List<Integer> of, Matrix gradient) {
    int[] rows = tokens(of);
    double[] weightsOfRows = new double[rows.length];
    int at = 0;
    for (int expert : of) {
      for (int place : places[expert]) {
        weightsOfRows[at++] = weights[place];
      }
    }

    return gradient.gather(rows, weightsOfRows);
  }

  /**
   * The gradient of the logits. With p the softmax, w the weights and g_j the product of a token's
   * gradient with choice j's output: {@code w_j (g_j - sum of w g)} for the chosen if renormalized,
   * else {@code p_e ([e chosen] g_e - sum of w g)} for all.
   *
   * @param along {@code [row, 1]}: w g
   */
  Matrix logitsGradient(Rows along, MatrixDevice device) {
    double[] shares = renormalizes ? weights : probabilities;
    return device.logitsGradient(along.matrices, along.choices(), shares, renormalizes);
  }
}
