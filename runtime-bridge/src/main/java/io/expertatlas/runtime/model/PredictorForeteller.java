package io.expertatlas.runtime.model;

import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.Scratch;
import io.expertatlas.predictor.TokenState;
import io.expertatlas.trace.ModelShape;
import java.util.HashMap;
import java.util.Map;

/** Asks a trained predictor, on the host, for each token. */
final class PredictorForeteller implements Foreteller {
  private final ExpertPredictor predictor;
  private final ModelShape shape;
  private final TokenState state;
  private final Scratch scratch;
  private final float[] scores; // [head-out - 1][expert]
  private final Map<Integer, Last> last = new HashMap<>(); // by number of the sequence

  /** The last token of a sequence in a step. */
  private static final class Last {
    private final int[] choices; // [layer][rank]
    private int position = -1;
    private boolean isWhole; // all layers are there

    Last(ModelShape shape) {
      choices = new int[shape.choicesPerToken()];
    }
  }

  PredictorForeteller(ExpertPredictor predictor) {
    this.predictor = predictor;
    this.shape = predictor.model().shape();
    this.state = new TokenState(predictor.model());
    this.scratch = predictor.scratch();
    this.scores = new float[Math.max(1, predictor.lookahead()) * shape.experts()];
  }

  @Override
  public Foretold next(Spoken spoken) {
    Foretold foretold = spoken.layer() + 1 < shape.layers() ? predict(spoken) : Foretold.NOTHING;
    remember(spoken);
    return foretold;
  }

  private Foretold predict(Spoken spoken) {
    Step step = spoken.step();
    int layer = spoken.layer();
    int k = shape.topK();
    float[] input = predictor.kind().readsHidden() ? spoken.input().get() : new float[0];
    long[] counts = new long[shape.experts()];
    for (int t = 0; t < step.tokens(); t++) {
      System.arraycopy(spoken.choices(), t * k, state.chosen(), 0, k);
      if (input.length > 0) {
        int hidden = state.hidden().length;
        System.arraycopy(input, t * hidden, state.hidden(), 0, hidden);
      }

      Last before = last.get(step.number(t));
      boolean known = before != null && before.isWhole && before.position == step.position(t) - 1;
      state.setPrevious(known);
      if (known) {
        System.arraycopy(before.choices, 0, state.previous(), 0, before.choices.length);
      }

      predictor.predict(layer, state, scratch, scores);
      countBest(counts);
    }

    return Foretold.ofCounts(layer + 1, counts);
  }

  /** Counts the k highest scores of the next layer, of equals the first ones. */
  private void countBest(long[] counts) {
    boolean[] taken = new boolean[shape.experts()];
    for (int rank = 0; rank < shape.topK(); rank++) {
      int best = -1;
      for (int expert = 0; expert < taken.length; expert++) {
        if (!taken[expert] && (best < 0 || scores[expert] > scores[best])) {
          best = expert;
        }
      }

      taken[best] = true;
      counts[best]++;
    }
  }

  private void remember(Spoken spoken) {
    Step step = spoken.step();
    int k = shape.topK();
    for (int t = 0; t < step.tokens(); t++) {
      if (t + 1 == step.tokens() || step.number(t + 1) != step.number(t)) {
        Last one = last.computeIfAbsent(step.number(t), number -> new Last(shape));
        System.arraycopy(spoken.choices(), t * k, one.choices, spoken.layer() * k, k);
        one.position = step.position(t);
        one.isWhole = spoken.layer() + 1 == shape.layers();
      }
    }
  }
}
