package io.expertatlas.predictor;

import io.expertatlas.trace.ModelShape;

/**
 * Counts of the choices of tokens, and of pairs of choices some layers apart: what the predictors
 * without hidden states are made of. Mutable, not safe for several threads.
 */
public final class RoutingCounts {
  /** Added to each count, so that what was never seen is not impossible. */
  private static final double PRIOR = 0.5;

  private final ModelShape shape;
  private final int lookahead;
  private final long[] choices; // [layer][expert]
  private final long[] pairs; // [head-out - 1][layer][from][to]
  private long tokens;

  /** No token yet. */
  public RoutingCounts(ModelShape shape, int lookahead) {
    this.shape = shape;
    this.lookahead = lookahead;
    this.choices = new long[shape.totalExperts()];
    this.pairs =
        new long
            [Math.toIntExact(
                Math.multiplyExact((long) lookahead * shape.totalExperts(), shape.experts()))];
  }

  /** Adds a token: its experts, {@code [layer][rank]}, from an index on. */
  public void add(short[] experts, int at) {
    tokens++;
    int topK = shape.topK();
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int rank = 0; rank < topK; rank++) {
        int from = experts[at + layer * topK + rank] & 0xffff;
        choices[layer * shape.experts() + from]++;
        for (int h = 0; h < lookahead && layer + 1 + h < shape.layers(); h++) {
          int row = ((h * shape.layers() + layer) * shape.experts() + from) * shape.experts();
          for (int other = 0; other < topK; other++) {
            pairs[row + (experts[at + (layer + 1 + h) * topK + other] & 0xffff)]++;
          }
        }
      }
    }
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
    float[] some = new float[headOuts * shape.totalExperts() * shape.experts()];
    System.arraycopy(all, 0, some, 0, some.length);
    return some;
  }

  private float[] shares(long[] counts) {
    int experts = shape.experts();
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
