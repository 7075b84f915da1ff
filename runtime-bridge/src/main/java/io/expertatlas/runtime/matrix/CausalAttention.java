package io.expertatlas.runtime.matrix;

/**
 * Attention within each sequence: {@code softmax(q k' / sqrt(D)) v} over the places up to a token's
 * own. Probabilities are not kept: backward computes them again.
 */
final class CausalAttention {
  private final int heads;
  private final int keyHeads;
  private final int headSize;

  CausalAttention(Heads heads) {
    this.heads = heads.heads();
    this.keyHeads = heads.keyHeads();
    this.headSize = heads.headSize();
  }

  /**
   * What the heads see.
   *
   * @param q {@code [tokens, heads * D]}, sequences one after the other
   * @param k {@code [tokens, keyHeads * D]}
   * @param v {@code [tokens, keyHeads * D]}
   * @param length tokens of each sequence
   * @return {@code [tokens, heads * D]}
   */
  DoubleMatrix forward(DoubleMatrix q, DoubleMatrix k, DoubleMatrix v, int length) {
    DoubleMatrix out = new DoubleMatrix(q.rows, q.columns);
    for (int first = 0; first < q.rows; first += length) {
      for (int head = 0; head < heads; head++) {
        int keyHead = head / (heads / keyHeads);
        DoubleMatrix probabilities =
            probabilities(slice(q, first, length, head), slice(k, first, length, keyHead));
        DoubleMatrix seen = DoubleMatrix.of(probabilities.times(slice(v, first, length, keyHead)));
        addSlice(out, first, head, seen);
      }
    }

    return out;
  }

  /**
   * Backward: {@code dv = p' dy}, {@code dp = dy v'}, {@code ds = p (dp - sum(p dp))}, {@code dq =
   * ds k / sqrt(D)}, {@code dk = ds' q / sqrt(D)}; those of shared keys and values are summed in
   * order of the query heads.
   */
  Matrix.AttentionGradients backward(
      DoubleMatrix q, DoubleMatrix k, DoubleMatrix v, int length, DoubleMatrix gradient) {
    DoubleMatrix queryOut = new DoubleMatrix(q.rows, q.columns);
    DoubleMatrix keyOut = new DoubleMatrix(k.rows, k.columns);
    DoubleMatrix valueOut = new DoubleMatrix(v.rows, v.columns);
    double scale = 1 / Math.sqrt(headSize);
    for (int first = 0; first < q.rows; first += length) {
      for (int head = 0; head < heads; head++) {
        int keyHead = head / (heads / keyHeads);
        DoubleMatrix query = slice(q, first, length, head);
        DoubleMatrix key = slice(k, first, length, keyHead);
        DoubleMatrix probabilities = probabilities(query, key);
        DoubleMatrix down = slice(gradient, first, length, head);
        DoubleMatrix values = new DoubleMatrix(length, headSize);
        values.addOuter(probabilities, down);
        addSlice(valueOut, first, keyHead, values);
        DoubleMatrix scores = DoubleMatrix.of(down.linear(slice(v, first, length, keyHead)));
        throughSoftmax(probabilities, scores, scale);
        addSlice(queryOut, first, head, DoubleMatrix.of(scores.times(key)));
        DoubleMatrix keys = new DoubleMatrix(length, headSize);
        keys.addOuter(scores, query);
        addSlice(keyOut, first, keyHead, keys);
      }
    }

    return new Matrix.AttentionGradients(queryOut, keyOut, valueOut);
  }

  /**
   * Turns gradients of probabilities into those of scores, times the scale; above the diagonal 0.
   */
  private static void throughSoftmax(
      DoubleMatrix probabilities, DoubleMatrix gradient, double scale) {
    int length = gradient.rows;
    for (int i = 0; i < length; i++) {
      int at = i * length;
      double along = 0;
      for (int j = 0; j <= i; j++) {
        along += probabilities.values[at + j] * gradient.values[at + j];
      }

      for (int j = 0; j < length; j++) {
        gradient.values[at + j] =
            j > i ? 0 : probabilities.values[at + j] * (gradient.values[at + j] - along) * scale;
      }
    }
  }

  private DoubleMatrix probabilities(DoubleMatrix query, DoubleMatrix key) {
    DoubleMatrix scores = DoubleMatrix.of(query.linear(key));
    double scale = 1 / Math.sqrt(headSize);
    int length = scores.rows;
    for (int i = 0; i < length; i++) {
      int at = i * length;
      double most = Double.NEGATIVE_INFINITY;
      for (int j = 0; j <= i; j++) {
        scores.values[at + j] *= scale;
        most = Math.max(most, scores.values[at + j]);
      }

      double sum = 0;
      for (int j = 0; j <= i; j++) {
        scores.values[at + j] = Math.exp(scores.values[at + j] - most);
        sum += scores.values[at + j];
      }

      for (int j = 0; j < length; j++) {
        scores.values[at + j] = j > i ? 0 : scores.values[at + j] / sum;
      }
    }

    return scores;
  }

  /** A head of a sequence: [length, D]. */
  private DoubleMatrix slice(DoubleMatrix x, int first, int length, int head) {
    DoubleMatrix out = new DoubleMatrix(length, headSize);
    for (int i = 0; i < length; i++) {
      System.arraycopy(
          x.values, (first + i) * x.columns + head * headSize, out.values, i * headSize, headSize);
    }

    return out;
  }

  private void addSlice(DoubleMatrix into, int first, int head, DoubleMatrix slice) {
    for (int i = 0; i < slice.rows; i++) {
      int at = (first + i) * into.columns + head * headSize;
      for (int d = 0; d < headSize; d++) {
        into.values[at + d] += slice.values[i * headSize + d];
      }
    }
  }
}
