package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import java.util.Arrays;

/**
 * The rows that the experts of a layer are given where the layer is computed, one expert's behind
 * those of the one before.
 *
 * <p>Behind an expert's tokens there may be more rows, up to a number that a device adds up fast:
 * its last token's again with weight 0, so that their gradients are 0 and no sum changes. Nobody
 * takes what the expert makes of them.
 */
final class ExpertTokens {
  private final int[] counts; // [expert] tokens
  private final int[] firsts; // [expert + 1] of the next two
  private final int[] tokens;
  private final double[] weights;

  /**
   * Tokens of experts.
   *
   * @param counts {@code [expert]}, without additional rows
   * @param firsts {@code [expert + 1]} where the rows of an expert begin; the last is their number
   * @param tokens {@code [row]}
   * @param weights {@code [row]}, or none if nobody asks for weighted rows
   */
  ExpertTokens(int[] counts, int[] firsts, int[] tokens, double[] weights) {
    this.counts = counts;
    this.firsts = firsts;
    this.tokens = tokens;
    this.weights = weights;
  }

  /** All rows of an expert, of a matrix with one for each token. */
  Matrix rows(int expert, Matrix from) {
    return from.gather(Arrays.copyOfRange(tokens, firsts[expert], firsts[expert + 1]));
  }

  /**
   * The rows of an expert times their weights.
   *
   * @param areAll whether additional rows are asked for, too
   */
  Matrix weighted(int expert, Matrix from, boolean areAll) {
    int first = firsts[expert];
    int end = areAll ? firsts[expert + 1] : first + counts[expert];
    return from.gather(
        Arrays.copyOfRange(tokens, first, end), Arrays.copyOfRange(weights, first, end));
  }
}
