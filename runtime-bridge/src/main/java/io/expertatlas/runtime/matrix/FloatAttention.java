package io.expertatlas.runtime.matrix;

/** {@link CausalAttention} in floats, sums of the softmax in doubles. */
final class FloatAttention {
  private final int heads;
  private final int keyHeads;
  private final int headSize;

  FloatAttention(Heads heads) {
    this.heads = heads.heads();
    this.keyHeads = heads.keyHeads();
    this.headSize = heads.headSize();
  }

  FloatMatrix forward(FloatMatrix q, FloatMatrix k, FloatMatrix v, int length) {
    FloatMatrix out = new FloatMatrix(q.rows, q.columns);
    for (int first = 0; first < q.rows; first += length) {
      for (int head = 0; head < heads; head++) {
        int keyHead = head / (heads / keyHeads);
        FloatMatrix probabilities =
            probabilities(slice(q, first, length, head), slice(k, first, length, keyHead));
        Matrix seen = probabilities.times(slice(v, first, length, keyHead));
        addSlice(out, first, head, FloatMatrix.of(seen));
      }
    }

    return out;
  }

  Matrix.AttentionGradients backward(
      FloatMatrix q, FloatMatrix k, FloatMatrix v, int length, FloatMatrix gradient) {
    FloatMatrix queryOut = new FloatMatrix(q.rows, q.columns);
    FloatMatrix keyOut = new FloatMatrix(k.rows, k.columns);
    FloatMatrix valueOut = new FloatMatrix(v.rows, v.columns);
    double scale = 1 / Math.sqrt(headSize);
    for (int first = 0; first < q.rows; first += length) {
      for (int head = 0; head < heads; head++) {
        int keyHead = head / (heads / keyHeads);
        FloatMatrix query = slice(q, first, length, head);
        FloatMatrix key = slice(k, first, length, keyHead);
        FloatMatrix probabilities = probabilities(query, key);
        FloatMatrix down = slice(gradient, first, length, head);
        FloatMatrix values = new FloatMatrix(length, headSize);
        values.addOuter(probabilities, down);
        addSlice(valueOut, first, keyHead, values);
        FloatMatrix scores = FloatMatrix.of(down.linear(slice(v, first, length, keyHead)));
        throughSoftmax(probabilities, scores, scale);
        addSlice(queryOut, first, head, FloatMatrix.of(scores.times(key)));
        FloatMatrix keys = new FloatMatrix(length, headSize);
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
      FloatMatrix probabilities, FloatMatrix gradient, double scale) {
    int length = gradient.rows;
    float[] shares = new float[length];
    float[] down = new float[length];
    for (int i = 0; i < length; i++) {
      probabilities.read(i, shares);
      gradient.read(i, down);
      double along = 0;
      for (int j = 0; j <= i; j++) {
        along += (double) shares[j] * down[j];
      }

      for (int j = 0; j < length; j++) {
        down[j] = j > i ? 0 : (float) (shares[j] * (down[j] - along) * scale);
      }

      gradient.write(i, down);
    }
  }

  private FloatMatrix probabilities(FloatMatrix query, FloatMatrix key) {
    FloatMatrix scores = FloatMatrix.of(query.linear(key));
    double scale = 1 / Math.sqrt(headSize);
    int length = scores.rows;
    float[] row = new float[length];
    double[] shares = new double[length];
    for (int i = 0; i < length; i++) {
      scores.read(i, row);
      double most = Double.NEGATIVE_INFINITY;
      for (int j = 0; j <= i; j++) {
        most = Math.max(most, row[j] * scale);
      }

      double sum = 0;
      for (int j = 0; j <= i; j++) {
        shares[j] = Math.exp(row[j] * scale - most);
        sum += shares[j];
      }

      for (int j = 0; j < length; j++) {
        row[j] = j > i ? 0 : (float) (shares[j] / sum);
      }

      scores.write(i, row);
    }

    return scores;
  }

  /** A head of a sequence: [length, D]. */
  private FloatMatrix slice(FloatMatrix x, int first, int length, int head) {
    FloatMatrix out = new FloatMatrix(length, headSize);
    for (int i = 0; i < length; i++) {
      int from = (first + i) * x.columns + head * headSize;
      out.values.put(i * headSize, x.values, from, headSize);
    }

    return out;
  }

  private void addSlice(FloatMatrix into, int first, int head, FloatMatrix slice) {
    for (int i = 0; i < slice.rows; i++) {
      int at = (first + i) * into.columns + head * headSize;
      for (int d = 0; d < headSize; d++) {
        into.values.put(at + d, into.values.get(at + d) + slice.at(i, d));
      }
    }
  }
}
