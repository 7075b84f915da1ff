package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;

/**
 * Counts tokens one by one, with or without router weights, and checks them. Not safe for several
 * threads.
 */
final class SingleTokens {
  /** Largest router weight that is counted; keeps the sum of 2^27 tokens inside a long. */
  static final float MAX_WEIGHT = 256;

  private final ModelShape shape;
  private final SetCode code;
  private final char[] ids; // [rank], scratch
  private final char[] sorted; // [rank], scratch
  private final long[] set; // scratch

  SingleTokens(ModelShape shape, SetCode code) {
    this.shape = shape;
    this.code = code;
    ids = new char[shape.topK()];
    sorted = new char[shape.topK()];
    set = new long[code.words()];
  }

  /**
   * Counts a token.
   *
   * @param experts {@code [layer][rank]} its choices
   * @param weights {@code [layer][rank]} its router weights, or empty
   * @throws IllegalArgumentException if an id is out of range or stands twice in a layer, or a
   *     weight is not in 0 to 256
   */
  void add(int[] experts, float[] weights, RouteTables tables) {
    int k = shape.topK();
    for (int layer = 0; layer < shape.layers(); layer++) {
      int here = layer * k;
      checkRange(layer, experts, here);
      if (weights.length != 0) {
        checkWeights(layer, weights, here);
      }

      addSet(layer, experts, here, 1, tables);
      tables.firstChoices()[layer * shape.experts() + experts[here]]++;
      if (layer > 0) {
        addGap(layer - 1, experts, weights, tables);
      }
    }
  }

  /**
   * Adds tokens, at least one, of the same choices in a layer to the sets.
   *
   * @param experts ids that are in range, of which {@code topK} from {@code from} on count
   * @throws IllegalArgumentException if one stands twice
   */
  void addSet(int layer, int[] experts, int from, int tokens, RouteTables tables) {
    for (int rank = 0; rank < ids.length; rank++) {
      ids[rank] = (char) experts[from + rank];
    }

    if (!code.encode(ids, 0, sorted, set)) {
      throw code.repeated(layer, ids, 0);
    }

    tables.sets().get(layer).add(set, 0, tokens);
  }

  private void addGap(int gap, int[] experts, float[] weights, RouteTables tables) {
    int k = shape.topK();
    int width = shape.experts();
    int from = gap * k;
    int to = from + k;
    tables.firstPairs()[(gap * width + experts[from]) * width + experts[to]]++;
    for (int i = from; i < from + k; i++) {
      int row = (gap * width + experts[i]) * width;
      if (weights.length == 0) {
        int[] pairs = tables.evenPairs();
        for (int j = to; j < to + k; j++) {
          pairs[row + experts[j]]++;
        }
      } else {
        long[] units = tables.weightedUnits();
        double scaled = (double) weights[i] * Transitions.UNITS;
        for (int j = to; j < to + k; j++) {
          units[row + experts[j]] += Math.round(scaled * weights[j]);
        }
      }
    }
  }

  private void checkRange(int layer, int[] experts, int from) {
    for (int rank = 0; rank < shape.topK(); rank++) {
      int expert = experts[from + rank];
      if (expert < 0 || expert >= shape.experts()) {
        throw new IllegalArgumentException(
            "Invalid expert id %d at layer %d, rank %d: the model has experts 0 to %d"
                .formatted(expert, layer, rank, shape.experts() - 1));
      }
    }
  }

  private void checkWeights(int layer, float[] weights, int from) {
    for (int rank = 0; rank < shape.topK(); rank++) {
      float weight = weights[from + rank];
      if (!(weight >= 0 && weight <= MAX_WEIGHT)) {
        throw new IllegalArgumentException(
            "Invalid router weight %s at layer %d, rank %d: 0 to %s"
                .formatted(weight, layer, rank, MAX_WEIGHT));
      }
    }
  }
}
