package io.expertatlas.runtime.pipeline;

/**
 * Tokens of each expert in one step, and what a predictor says of them. Immutable by agreement: the
 * arrays are handed out, not copied.
 */
public final class StepRouting {
  private static final int[] NOTHING = {};

  private final int[][][] counts; // [layer][chunk][expert]
  private final int[][][] predicted; // [layer][chunk][expert]; empty: no prediction

  /**
   * A step.
   *
   * @param counts {@code [layer][chunk][expert]}
   * @param predicted {@code [layer][chunk][expert]}; an empty last axis: no prediction for it; an
   *     empty array: none at all
   */
  public StepRouting(int[][][] counts, int[][][] predicted) {
    this.counts = counts;
    this.predicted = predicted;
  }

  /** Number of layers. */
  public int layers() {
    return counts.length;
  }

  /** Number of micro-batches. */
  public int chunks() {
    return counts[0].length;
  }

  /** Experts of a layer. */
  public int experts() {
    return counts[0][0].length;
  }

  /** Tokens of each expert in a layer and chunk. */
  public int[] counts(int layer, int chunk) {
    return counts[layer][chunk];
  }

  /** What is foretold of them while the layer before runs; empty if nothing is. */
  public int[] predicted(int layer, int chunk) {
    return predicted.length == 0 ? NOTHING : predicted[layer][chunk];
  }

  /** The mean over layers of the sum of squared shares, of the whole step: its concentration. */
  public double concentration() {
    double sum = 0;
    for (int[][] layer : counts) {
      double total = 0;
      double squares = 0;
      for (int expert = 0; expert < experts(); expert++) {
        double tokens = 0;
        for (int[] chunk : layer) {
          tokens += chunk[expert];
        }

        total += tokens;
        squares += tokens * tokens;
      }

      sum += total == 0 ? 0 : squares / total / total;
    }

    return sum / layers();
  }

  /**
   * The predictions' share of tokens on the right expert: the overlap of predicted and real counts
   * over the predicted tokens; NaN without a prediction.
   */
  public double fidelity() {
    double right = 0;
    double total = 0;
    for (int layer = 0; layer < layers(); layer++) {
      for (int chunk = 0; chunk < chunks(); chunk++) {
        int[] foretold = predicted(layer, chunk);
        for (int expert = 0; expert < foretold.length; expert++) {
          right += Math.min(foretold[expert], counts[layer][chunk][expert]);
          total += foretold[expert];
        }
      }
    }

    return right / total;
  }
}
