package io.expertatlas.predictor;

import io.expertatlas.trace.ModelShape;
import java.io.Serializable;

/**
 * Counts of the choices of tokens, and of pairs of choices some layers apart: what the predictors
 * without hidden states are made of. Mutable, not safe for several threads.
 */
public final class RoutingCounts implements Serializable {
  private static final long serialVersionUID = 1;

  /** Added to each count, so that what was never seen is not impossible. */
  private static final double PRIOR = 0.5;

  private final int layers;
  private final int experts;
  private final int topK;
  private final int lookahead;
  private final long[] choices; // [layer][expert]
  private final long[] pairs; // [head-out - 1][layer][from][to]
  private long tokens;

  /** No token yet. */
  public RoutingCounts(ModelShape shape, int lookahead) {
    this.layers = shape.layers();
    this.experts = shape.experts();
    this.topK = shape.topK();
    this.lookahead = lookahead;
    this.choices = new long[shape.totalExperts()];
    this.pairs =
        new long
            [Math.toIntExact(
                Math.multiplyExact((long) lookahead * shape.totalExperts(), shape.experts()))];
  }

  /** Adds a token: its experts, {@code [layer][rank]}, from an index on. */
  public void add(short[] chosen, int at) {
    tokens++;
    for (int layer = 0; layer < layers; layer++) {
      for (int rank = 0; rank < topK; rank++) {
        int from = chosen[at + layer * topK + rank] & 0xffff;
        choices[layer * experts + from]++;
        for (int h = 0; h < lookahead && layer + 1 + h < layers; h++) {
          int row = ((h * layers + layer) * experts + from) * experts;
          for (int other = 0; other < topK; other++) {
            pairs[row + (chosen[at + (layer + 1 + h) * topK + other] & 0xffff)]++;
          }
        }
      }
    }
  }

  /** Adds what was counted of other tokens, of the same shape and lookahead. */
  public RoutingCounts add(RoutingCounts other) {
    tokens += other.tokens;
    for (int i = 0; i < choices.length; i++) {
      choices[i] += other.choices[i];
    }

    for (int i = 0; i < pairs.length; i++) {
      pairs[i] += other.pairs[i];
    }

    return this;
  }

  /** Tokens counted. */
  public long tokens() {
    return tokens;
  }

  /** Shares of the choices of each layer, {@code [layer][expert]}; never 0. */
  public float[] popularity() {
    return shares(choices);
  }

  /**
   * P(expert of layer l + h | expert of layer l), {@code [head-out - 1][layer][from][to]}; never 0.
   * Rows of layers that have no layer h on are uniform.
   */
  public float[] affinity(int headOuts) {
    float[] all = shares(pairs);
    float[] some = new float[headOuts * layers * experts * experts];
    System.arraycopy(all, 0, some, 0, some.length);
    return some;
  }

  private float[] shares(long[] counts) {
    float[] shares = new float[counts.length];
    for (int row = 0; row < counts.length; row += experts) {
      double sum = 0;
      for (int to = 0; to < experts; to++) {
        sum += counts[row + to] + PRIOR;
      }

      for (int to = 0; to < experts; to++) {
        shares[row + to] = (float) ((counts[row + to] + PRIOR) / sum);
      }
    }

    return shares;
  }
}
