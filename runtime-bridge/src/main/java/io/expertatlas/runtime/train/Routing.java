package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Choices;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.function.IntConsumer;
import java.util.function.IntToDoubleFunction;
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
  private final int[] chosen; // [token][k]
  private final int[] firsts; // [expert + 1] of the next one and of sorted
  private final int[] tokens; // of the first expert, of the second one, ...
  private Matrix.Largest largest; // null: weighed
  private ForkJoinTask<?> weighing; // makes what follows; null: not begun
  private double[] probabilities; // [token][expert]; nothing if renormalized
  private double[] weights; // [token][k]
  private int[] slots; // [token][k] row among its expert's
  private double[] sorted; // weights of the first expert's tokens, of the second one's, ...

  private Routing(int topK, boolean renormalizes, int rows, int experts, Matrix.Largest largest) {
    this.topK = topK;
    this.rows = rows;
    this.experts = experts;
    this.renormalizes = renormalizes;
    this.chosen = largest.columns();
    this.firsts = new int[experts + 1];
    this.tokens = new int[rows * topK];
    this.largest = largest;
    sort();
  }

  /** Routes tokens by their logits {@code [token, expert]}. */
  static Routing of(Matrix logits, int topK, boolean renormalizes) {
    Matrix.Largest largest = logits.largest(topK, !renormalizes);
    return new Routing(topK, renormalizes, logits.rows(), logits.columns(), largest);
  }

  /** The tokens of each expert: all that its start waits for. */
  private void sort() {
    for (int expert : chosen) {
      firsts[expert + 1]++;
    }

    for (int expert = 0; expert < experts; expert++) {
      firsts[expert + 1] += firsts[expert];
    }

    int[] next = firsts.clone();
    int token = 0;
    int left = topK; // choices of the token: one loop over all takes half the time of two
    for (int expert : chosen) {
      tokens[next[expert]++] = token;
      if (--left == 0) {
        left = topK;
        token++;
      }
    }
  }

  /** Begins to compute, beside the caller, what the start of experts does not wait for. */
  void beginWeighing() {
    weighing = ForkJoinPool.commonPool().submit(this::weighAll);
  }

  private void awaitWeights() {
    if (weighing == null) {
      beginWeighing();
    }

    weighing.join();
  }

  private void weighAll() {
    probabilities = new double[renormalizes ? 0 : rows * experts];
    weights = new double[rows * topK];
    inParts(rows, this::weigh);
    largest = null;
    slots = new int[chosen.length];
    sorted = new double[chosen.length];
    int[] next = firsts.clone();
    for (int place = 0; place < chosen.length; place++) {
      int at = next[chosen[place]]++;
      slots[place] = at - firsts[chosen[place]];
      sorted[at] = weights[place];
    }
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
  private void weigh(int token) {
    IntToDoubleFunction ofChosen = largest.numbers();
    double most = ofChosen.applyAsDouble(token * topK);
    double sum = 0;
    for (int j = token * topK; j < (token + 1) * topK; j++) {
      weights[j] = Math.exp(ofChosen.applyAsDouble(j) - most);
      sum += weights[j];
    }

    if (!renormalizes) {
      sum = softmax(token, most);
    }

    for (int j = token * topK; j < (token + 1) * topK; j++) {
      weights[j] /= sum;
    }
  }

  /** All probabilities; returns what they were divided by. */
  private double softmax(int token, double most) {
    IntToDoubleFunction logits = largest.all();
    int at = token * experts;
    double sum = 0;
    for (int i = at; i < at + experts; i++) {
      probabilities[i] = Math.exp(logits.applyAsDouble(i) - most);
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
   * token and twice the weight. The lists that a device is told of it are smaller.
   */
  static long bytes(int tokens, int experts, int topK, boolean renormalizes) {
    int probabilities = renormalizes ? 0 : experts * Double.BYTES;
    return (long) tokens * (probabilities + topK * (3 * Integer.BYTES + 2 * Double.BYTES));
  }

  /** Tokens of each expert. */
  int[] counts() {
    int[] counts = new int[experts];
    for (int expert = 0; expert < experts; expert++) {
      counts[expert] = count(expert);
    }

    return counts;
  }

  private int count(int expert) {
    return firsts[expert + 1] - firsts[expert];
  }

  /** The tokens of experts, each one's ascending, behind those of the one before. */
  int[] tokens(List<Integer> of) {
    int count = 0;
    for (int expert : of) {
      count += count(expert);
    }

    int[] all = new int[count];
    int at = 0;
    for (int expert : of) {
      System.arraycopy(tokens, firsts[expert], all, at, count(expert));
      at += count(expert);
    }

    return all;
  }

  /** The tokens of all experts for a device. */
  ExpertTokens tokens(MatrixDevice device) {
    return new ExpertTokens(counts(), firsts, device.rowList(tokens, new double[0]));
  }

  /**
   * The tokens of all experts with their weights for a device, each one's rows rounded up to a
   * multiple of {@link MatrixDevice#rowsOfSum}.
   */
  ExpertTokens weightedTokens(MatrixDevice device) {
    int unit = device.rowsOfSum();
    awaitWeights();
    int[] begins = new int[experts + 1];
    for (int expert = 0; expert < experts; expert++) {
      begins[expert + 1] = begins[expert] + (count(expert) + unit - 1) / unit * unit;
    }

    int[] rowsOfAll = new int[begins[experts]];
    double[] weightsOfRows = new double[begins[experts]];
    for (int expert = 0; expert < experts; expert++) {
      System.arraycopy(tokens, firsts[expert], rowsOfAll, begins[expert], count(expert));
      System.arraycopy(sorted, firsts[expert], weightsOfRows, begins[expert], count(expert));
      int at = begins[expert] + count(expert);
      if (at < begins[expert + 1]) {
        Arrays.fill(rowsOfAll, at, begins[expert + 1], rowsOfAll[at - 1]);
      }
    }

    return new ExpertTokens(counts(), begins, device.rowList(rowsOfAll, weightsOfRows));
  }

  /** Rows of the experts' tokens, of some experts in a matrix or of each in its own. */
  final class Rows {
    private final Matrix[] matrices = new Matrix[experts];
    private final int[] firstRows = new int[experts]; // of an expert in its matrix

    private Rows() {}

    /** Adds those of experts, one's behind those of the one before. */
    void put(List<Integer> of, Matrix rows) {
      int first = 0;
      for (int expert : of) {
        matrices[expert] = rows;
        firstRows[expert] = first;
        first += count(expert);
      }
    }

    private Choices choices() {
      int[] rowsOfMatrices = new int[slots.length];
      for (int j = 0; j < slots.length; j++) {
        rowsOfMatrices[j] = firstRows[chosen[j]] + slots[j];
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
    awaitWeights();
    return device.combine(outputs.matrices, columns, outputs.choices(), weights);
  }

  /** Each token's sum of its experts' rows, unweighted: gradients of what they were given. */
  Matrix sum(Rows inputs, int columns, MatrixDevice device) {
    awaitWeights();
    return device.combine(inputs.matrices, columns, inputs.choices(), null);
  }

  /**
   * The gradients of experts' outputs, one's rows behind those of the one before: their tokens'
   * gradients times their weights.
   */
  Matrix outputGradient(List<Integer> of, Matrix gradient) {
    int[] rows = tokens(of);
    awaitWeights();
    double[] weightsOfRows = new double[rows.length];
    int at = 0;
    for (int expert : of) {
      System.arraycopy(sorted, firsts[expert], weightsOfRows, at, count(expert));
      at += count(expert);
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
    awaitWeights();
    double[] shares = renormalizes ? weights : probabilities;
    return device.logitsGradient(along.matrices, along.choices(), shares, renormalizes);
  }
}
