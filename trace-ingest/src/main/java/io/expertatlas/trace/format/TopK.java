package io.expertatlas.trace.format;

/** What a router makes of its scores: the k best experts and their weights. */
final class TopK {
  private final int experts;
  private final int topK;
  private final int[] best; // [rank]
  private final float[] weights; // [rank]

  TopK(int experts, int topK) {
    this.experts = experts;
    this.topK = topK;
    this.best = new int[topK];
    this.weights = new float[topK];
  }

  /**
   * Chooses the experts with the greatest scores; of equal ones, that with the lower id.
   *
   * @param scores values {@code at} to {@code at + experts - 1}
   */
  void choose(float[] scores, int at) {
    int filled = 0;
    for (int expert = 0; expert < experts; expert++) {
      float score = scores[at + expert];
      int rank = filled;
      while (rank > 0 && score > scores[at + best[rank - 1]]) {
        rank--;
      }

      if (rank < topK) {
        filled = Math.min(filled + 1, topK);
        System.arraycopy(best, rank, best, rank + 1, filled - rank - 1);
        best[rank] = expert;
      }
    }
  }

  /** Weights of the chosen: the softmax over all experts, in double precision. */
  void softmax(float[] scores, int at) {
    double max = scores[at + best[0]];
    double sum = 0;
    for (int expert = 0; expert < experts; expert++) {
      sum += Math.exp(scores[at + expert] - max);
    }

    for (int rank = 0; rank < topK; rank++) {
      weights[rank] = (float) (Math.exp(scores[at + best[rank]] - max) / sum);
    }
  }

  /** Weights of the chosen: their scores. */
  void take(float[] scores, int at) {
    for (int rank = 0; rank < topK; rank++) {
      weights[rank] = scores[at + best[rank]];
    }
  }

  /** Makes the weights of the chosen sum to 1. */
  void renormalize() {
    double sum = 0;
    for (float weight : weights) {
      sum += weight;
    }

    for (int rank = 0; rank < topK; rank++) {
      weights[rank] = (float) (weights[rank] / sum);
    }
  }

  int expert(int rank) {
    return best[rank];
  }

  float weight(int rank) {
    return weights[rank];
  }
}
