package io.expertatlas.trace.spark;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TraceFormatException;
import java.util.List;
import java.util.Locale;

/**
 * What an input holds of what its routers saw.
 *
 * @param input format and path, for messages
 * @param hiddenSize length of a router's input; 0: there are none
 * @param scores what the scores of experts are
 */
record RouterFacts(String input, int hiddenSize, Scores scores) {
  static RouterFacts of(String input, RouterStatesReader reader) {
    return new RouterFacts(input, reader.hiddenSize(), reader.scores());
  }

  /**
   * Checks that there is something to fill columns with.
   *
   * @throws TraceFormatException if not
   */
  void check(List<String> columns) {
    if (hiddenSize == 0 && columns.contains(TraceSchema.ROUTER_INPUT)) {
      throw new TraceFormatException(
          "Cannot read %s of %s: it holds router scores, but no hidden states"
              .formatted(TraceSchema.ROUTER_INPUT, input));
    }

    if (scores == Scores.NONE && columns.contains(TraceSchema.ROUTER_SCORES)) {
      throw new TraceFormatException(
          "Cannot read %s of %s: it holds hidden states, but no router scores"
              .formatted(TraceSchema.ROUTER_SCORES, input));
    }
  }

  /** Values that the named columns hold for a token. */
  static long valuesOfToken(
      List<String> columns, ModelShape shape, LayerSelection layers, int hiddenSize) {
    long inputs = columns.contains(TraceSchema.ROUTER_INPUT) ? hiddenSize : 0;
    long gates = columns.contains(TraceSchema.ROUTER_SCORES) ? shape.experts() : 0;
    return layers.layers() * (inputs + gates);
  }

  /** Metadata of the column of router inputs. */
  String inputMetadata(LayerSelection layers) {
    return "{\"layers\":%d,\"hidden-size\":%d}".formatted(layers.layers(), hiddenSize);
  }

  /** Metadata of the column of scores. */
  String scoresMetadata(ModelShape shape, LayerSelection layers) {
    return "{\"layers\":%d,\"experts\":%d,\"scores\":\"%s\"}"
        .formatted(layers.layers(), shape.experts(), word());
  }

  private String word() {
    return scores.name().toLowerCase(Locale.ROOT);
  }

  @Override
  public String toString() {
    return "hidden size %d, scores %s".formatted(hiddenSize, word());
  }
}
