package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.RowList;

/**
 * The rows that the experts of a layer are given where the layer is computed, one expert's behind
 * those of the one before. The device is told once which.
 *
 * <p>Behind an expert's tokens there may be more rows, up to a number that a device adds up fast:
 * its last token's again with weight 0, so that their gradients are 0 and no sum changes. Nobody
 * takes what the expert makes of them.
 */
final class ExpertTokens {
  private final int[] counts; // [expert] tokens
  private final int[] firsts; // [expert + 1] of the list
  private final RowList list;

  /**
   * Tokens of experts.
   *
   * @param counts {@code [expert]}, without additional rows
   * @param firsts {@code [expert + 1]} where the rows of an expert begin; the last is their number
   * @param list of the device that is asked for them
   */
  ExpertTokens(int[] counts, int[] firsts, RowList list) {
    this.counts = counts;
    this.firsts = firsts;
    this.list = list;
  }

  /** All rows of an expert, of a matrix with one for each token. */
  Matrix rows(int expert, Matrix from) {
    return list.gather(from, firsts[expert], all(expert));
  }

  /**
   * The rows of an expert times their weights.
   *
   * @param areAll whether additional rows are asked for, too
   */
  Matrix weighted(int expert, Matrix from, boolean areAll) {
    return list.gatherWeighted(from, firsts[expert], areAll ? all(expert) : counts[expert]);
  }

  private int all(int expert) {
    return firsts[expert + 1] - firsts[expert];
  }
}
