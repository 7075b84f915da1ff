package io.expertatlas.predictor.json;

import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.SequenceSplit;
import java.util.List;
import java.util.Objects;

/**
 * A predictor and how it came to be.
 *
 * @param predictor the predictor
 * @param split which sequences it was trained on
 * @param training how
 */
public record SavedPredictor(ExpertPredictor predictor, SequenceSplit split, Training training) {
  /**
   * How a predictor was trained; zeros for one that is counted or copied.
   *
   * @param trace that it was trained on
   * @param sequences selected of it, as an expression
   * @param tokens trained on
   * @param seed of starts and shuffles
   * @param batch tokens of a step
   * @param learningRate of Adam, at the start
   * @param epochs of each layer until the weights that are kept
   */
  public record Training(
      String trace,
      String sequences,
      long tokens,
      long seed,
      int batch,
      double learningRate,
      List<Integer> epochs) {
    /** Copies the list. */
    public Training {
      Objects.requireNonNull(trace, "trace is null");
      epochs = List.copyOf(epochs);
    }
  }
}
