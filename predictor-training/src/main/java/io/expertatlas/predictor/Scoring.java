package io.expertatlas.predictor;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * Scores predictors on the tokens of a trace, in their order. Mutable, not safe for several
 * threads.
 */
public final class Scoring {
  /** Is told the popularity of each iteration. */
  public interface PopularitySink {
    /**
     * An iteration ended.
     *
     * @param iteration counted from 0
     * @param gate tokens that chose each expert, {@code [layer][expert]}
     * @param predicted for each predictor and head-out, tokens predicted to visit each expert,
     *     {@code [predictor][head-out - 1][layer - head-out][expert]}
     */
    void iteration(int iteration, long[] gate, long[][][] predicted);
  }

  private final ModelShape shape;
  private final List<ExpertPredictor> predictors;
  private final List<Scratch> scratches = new ArrayList<>();
  private final PredictionScore[][] scores; // [predictor][head-out - 1]
  private final int iterationTokens;
  private final PopularitySink sink;
  private final PreviousRoutes previous = new PreviousRoutes();
  private final TokenState state;
  private final int[] routes; // [layer][rank]
  private final int[] chosen; // [rank]
  private final float[] predicted; // [head-out - 1][expert]
  private final long[] gate; // [layer][expert], of the iteration
  private int inIteration;
  private int iterations;
  private long tokens;

  /**
   * Starts.
   *
   * @param model of the trace; a hidden size of 0 scores predictors that read no hidden states only
   * @param iterationTokens tokens of an iteration, for popularity
   */
  public Scoring(
      PredictedModel model,
      List<ExpertPredictor> predictors,
      int iterationTokens,
      PopularitySink sink) {
    this.shape = model.shape();
    this.predictors = List.copyOf(predictors);
    this.iterationTokens = iterationTokens;
    this.sink = sink;
    this.state = new TokenState(model);
    this.routes = new int[shape.choicesPerToken()];
    this.chosen = new int[shape.topK()];
    this.gate = new long[shape.totalExperts()];
    this.scores = new PredictionScore[predictors.size()][];
    int widest = 0;
    for (int p = 0; p < scores.length; p++) {
      ExpertPredictor predictor = predictors.get(p);
      if (predictor.kind().readsHidden() && model.hiddenSize() == 0) {
        throw new PredictorFormatException(
            "Cannot score predictor %s: it reads hidden states, and the trace has none"
                .formatted(predictor.kind().word()));
      }

      scratches.add(predictor.scratch());
      int heads = Math.min(predictor.lookahead(), shape.layers() - 1);
      widest = Math.max(widest, heads);
      scores[p] = new PredictionScore[heads];
      for (int h = 0; h < heads; h++) {
        scores[p][h] = new PredictionScore(shape, h + 1);
        scores[p][h].setLeadLayers(meanLead(predictor, h + 1));
      }
    }

    this.predicted = new float[Math.max(1, widest) * shape.experts()];
  }

  private double meanLead(ExpertPredictor predictor, int headOut) {
    double sum = 0;
    for (int layer = 0; layer + headOut < shape.layers(); layer++) {
      sum += predictor.leadLayers(layer, headOut);
    }

    return sum / (shape.layers() - headOut);
  }

  /** Adds tokens without hidden states, those whose index in the batch passes. */
  public void add(RoutingTrace trace, IntPredicate tokenIndex) {
    for (int token = 0; token < trace.tokens(); token++) {
      if (tokenIndex.test(token)) {
        add(trace, token, null);
      }
    }
  }

  /** Adds tokens with their hidden states, those whose index in the batch passes. */
  public void add(RouterStates states, IntPredicate tokenIndex) {
    for (int token = 0; token < states.tokens(); token++) {
      if (tokenIndex.test(token)) {
        add(states.routes(), token, states);
      }
    }
  }

  private void add(RoutingTrace trace, int token, RouterStates states) {
    int sequence = trace.sequence(token);
    int topK = shape.topK();
    for (int choice = 0; choice < routes.length; choice++) {
      routes[choice] = trace.expert(token, choice / topK, choice % topK);
      gate[choice / topK * shape.experts() + routes[choice]]++;
    }

    state.setPrevious(previous.copy(sequence, state.previous()));
    for (int layer = 0; layer < shape.layers() - 1; layer++) {
      System.arraycopy(routes, layer * topK, state.chosen(), 0, topK);
      if (states != null && state.hidden().length > 0) {
        states.copyHidden(token, layer, state.hidden(), 0);
      }

      for (int p = 0; p < scores.length; p++) {
        score(p, layer, sequence);
      }
    }

    previous.put(sequence, routes);
    tokens++;
    if (++inIteration == iterationTokens) {
      endIteration();
    }
  }

  private void score(int p, int layer, int sequence) {
    ExpertPredictor predictor = predictors.get(p);
    predictor.predict(layer, state, scratches.get(p), predicted);
    for (int h = 0; h < predictor.heads(layer); h++) {
      int target = layer + 1 + h;
      System.arraycopy(routes, target * shape.topK(), chosen, 0, shape.topK());
      scores[p][h].add(sequence, target, predicted, h * shape.experts(), chosen);
    }
  }

  private void endIteration() {
    long[][][] counts = new long[scores.length][][];
    for (int p = 0; p < scores.length; p++) {
      counts[p] = new long[scores[p].length][];
      for (int h = 0; h < scores[p].length; h++) {
        counts[p][h] = scores[p][h].endIteration();
      }
    }

    sink.iteration(iterations++, gate.clone(), counts);
    Arrays.fill(gate, 0);
    inIteration = 0;
  }

  /** Ends the last iteration. */
  public void finish() {
    if (inIteration > 0) {
      endIteration();
    }
  }

  /** Tokens scored. */
  public long tokens() {
    return tokens;
  }

  /** The score of a predictor at a head-out, by its place in the list. */
  public PredictionScore score(int predictor, int headOut) {
    return scores[predictor][headOut - 1];
  }

  /** Head-outs that a predictor was scored at. */
  public int heads(int predictor) {
    return scores[predictor].length;
  }
}
