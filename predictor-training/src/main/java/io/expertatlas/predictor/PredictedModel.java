package io.expertatlas.predictor;

import io.expertatlas.trace.ModelShape;
import java.util.Objects;

/**
 * The model that a predictor was made for.
 *
 * @param name of the model, and of its stack if it has two, as the trace says it; empty: unknown
 * @param shape of its routing
 * @param hiddenSize length of a router's input; 0: unknown
 */
public record PredictedModel(String name, ModelShape shape, int hiddenSize) {
  /** Checks the size. */
  public PredictedModel {
    Objects.requireNonNull(name, "name is null");
    Objects.requireNonNull(shape, "shape is null");
    if (hiddenSize < 0) {
      throw new IllegalArgumentException(
          "Invalid hidden size: %d, at least 0".formatted(hiddenSize));
    }
  }

  /**
   * Checks that a predictor of this model can be used on another. Names and hidden sizes that are
   * unknown are not compared.
   *
   * @param other the model of a trace or of a runtime
   * @param file of this predictor, for messages
   * @throws PredictorFormatException naming the first difference with both values
   */
  public void checkFits(PredictedModel other, Object file) {
    check("MoE layers", shape.layers(), other.shape.layers(), file);
    check("experts", shape.experts(), other.shape.experts(), file);
    check("top-k", shape.topK(), other.shape.topK(), file);
    if (hiddenSize != 0 && other.hiddenSize != 0) {
      check("hidden size", hiddenSize, other.hiddenSize, file);
    }

    if (!name.isEmpty() && !other.name.isEmpty()) {
      check("model", name, other.name, file);
    }
  }

  private static void check(String what, Object mine, Object theirs, Object file) {
    if (!mine.equals(theirs)) {
      throw new PredictorFormatException(
          "Cannot use predictor %s: its %s is %s, here it is %s"
              .formatted(file, what, mine, theirs));
    }
  }

  /** Head-outs of a layer for a lookahead: layers that it can predict. */
  public int heads(int layer, int lookahead) {
    return Math.min(lookahead, shape.layers() - 1 - layer);
  }
}
