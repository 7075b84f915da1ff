package io.expertatlas.runtime.train;

/**
 * Attention within each sequence: {@code softmax(q k' / sqrt(D)) v} over the places up to a token's
 * own. Query heads share keys and values in groups. Probabilities are not kept: backward computes
 * them again.
 *
 * @param heads query heads
 * @param keyHeads key and value heads, a divisor of the query heads
 * @param headSize D
 */
record CausalAttention(int heads, int keyHeads, int headSize) {
  /**
   * What the heads see.
   *
   * @param q {@code [tokens, heads * D]}, sequences one after the other
   * @param k {@code [tokens, keyHeads * D]}
   * @param v {@code [tokens, keyHeads * D]}
   * @param length tokens of each sequence
   * @return {@code [tokens, heads * D]}
   */
  Matrix forward(Matrix q, Matrix k, Matrix v, int length) {
    Matrix out = new Matrix(q.rows, q.columns);
    for (int first = 0; first < q.rows; first += length) {
      for (int head = 0; head < heads; head++) {
        int keyHead = head / (heads / keyHeads);
        Matrix probabilities =
            probabilities(slice(q, first, length, head), slice(k, first, length, keyHead));
        Matrix seen = probabilities.times(slice(v, first, length, keyHead));
        addSlice(out, first, head, seen);
      }
    }

    return out;
  }

  /** Gradients of queries, keys and values. */
  record Gradients(Matrix q, Matrix k, Matrix v) {}

  /**
   * Backward: {@code dv = p' dy}, {@code dp = dy v'}, {@code ds = p (dp - sum(p dp))}, {@code dq =
   * ds k / sqrt(D)}, {@code dk = ds' q / sqrt(D)}; those of shared keys and values are summed in
   * order of the query heads.
   */
  Gradients backward(Matrix q, Matrix k, Matrix v, int length, Matrix gradient) {
    Gradients out =
        new Gradients(
            new Matrix(q.rows, q.columns),
            new Matrix(k.rows, k.columns),
            new Matrix(v.rows, v.columns));
    double scale = 1 / Math.sqrt(headSize);
    for (int first = 0; first < q.rows; first += length) {
      for (int head = 0; head < heads; head++) {
        int keyHead = head / (heads / keyHeads);
        Matrix query = slice(q, first, length, head);
        Matrix key = slice(k, first, length, keyHead);
        Matrix probabilities = probabilities(query, key);
        Matrix down = slice(gradient, first, length, head);
        Matrix values = new Matrix(length, headSize);
        values.addOuter(probabilities, down);
        addSlice(out.v, first, keyHead, values);
        Matrix scores = down.linear(slice(v, first, length, keyHead));
        throughSoftmax(probabilities, scores, scale);
        addSlice(out.q, first, head, scores.times(key));
        Matrix keys = new Matrix(length, headSize);
        keys.addOuter(scores, query);
        addSlice(out.k, first, keyHead, keys);
      }
    }

    return out;
  }

  /**
   * Turns gradients of probabilities into those of scores, times the scale; above the diagonal 0.
   */
  private static void throughSoftmax(Matrix probabilities, Matrix gradient, double scale) {
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

  private Matrix probabilities(Matrix query, Matrix key) {
    Matrix scores = query.linear(key);
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
  private Matrix slice(Matrix x, int first, int length, int head) {
    Matrix out = new Matrix(length, headSize);
    for (int i = 0; i < length; i++) {
      System.arraycopy(
          x.values, (first + i) * x.columns + head * headSize, out.values, i * headSize, headSize);
    }

    return out;
  }

  private void addSlice(Matrix into, int first, int head, Matrix slice) {
    for (int i = 0; i < slice.rows; i++) {
      int at = (first + i) * into.columns + head * headSize;
      for (int d = 0; d < headSize; d++) {
        into.values[at + d] += slice.values[i * headSize + d];
      }
    }
  }
}
