package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;

/** Unfolds the pairs of a layer's experts, counted once each, to the symmetric square. */
final class CoactivationSquare {
  private CoactivationSquare() {}

  /**
   * Unfolds the pairs.
   *
   * @param choices {@code [layer][expert]}, becomes the diagonal
   * @param pairs {@code [layer][other * (other - 1) / 2 + expert]} for {@code expert < other}
   * @return {@code [layer][expert][expert]}
   */
  static long[] of(ModelShape shape, long[] choices, long[] pairs) {
    int width = shape.experts();
    long[] square = new long[Math.multiplyExact(shape.totalExperts(), width)];
    int pair = 0;
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int other = 0; other < width; other++) {
        for (int expert = 0; expert < other; expert++) {
          long tokens = pairs[pair++];
          square[shape.globalId(layer, expert) * width + other] = tokens;
          square[shape.globalId(layer, other) * width + expert] = tokens;
        }

        int id = shape.globalId(layer, other);
        square[id * width + other] = choices[id];
      }
    }

    return square;
  }
}
