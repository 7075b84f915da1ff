package io.expertatlas.runtime.train;

/**
 * Rotary embedding (arXiv 2104.09864) as Mixtral has it: of each head, place i and place i + D / 2
 * turn by position times base^(-2 i / D). Turning back by the same angles is its backward.
 */
record Rotary(int headSize, double base) {
  /** Turns the rows of {@code [tokens, heads * D]}, sequences of a length one after the other. */
  void turn(Matrix x, int length, boolean backwards) {
    int half = headSize / 2;
    double[] cosine = new double[length * half];
    double[] sine = new double[length * half];
    for (int position = 0; position < length; position++) {
      for (int i = 0; i < half; i++) {
        double angle = position * Math.pow(base, -2.0 * i / headSize);
        cosine[position * half + i] = Math.cos(angle);
        sine[position * half + i] = backwards ? -Math.sin(angle) : Math.sin(angle);
      }
    }

    for (int row = 0; row < x.rows; row++) {
      int table = row % length * half;
      for (int head = 0; head < x.columns; head += headSize) {
        int at = row * x.columns + head;
        for (int i = 0; i < half; i++) {
          double first = x.values[at + i];
          double second = x.values[at + half + i];
          x.values[at + i] = first * cosine[table + i] - second * sine[table + i];
          x.values[at + half + i] = second * cosine[table + i] + first * sine[table + i];
        }
      }
    }
  }
}
