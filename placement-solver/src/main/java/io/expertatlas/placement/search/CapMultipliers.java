package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;

/**
 * Caps on load inside a {@link GramBound}: the group of each expert carries at most the cap, {@code
 * sum over j of load[j] * S[i,j] <= cap}, and the same seen from the layers before and after. Each
 * of these has a multiplier, which is charged for room that is not there; any multipliers that are
 * not negative keep the bound valid. They rise where the relaxation is above the cap.
 */
final class CapMultipliers {
  private final int layers;
  private final int experts;
  private final boolean hasGaps; // whether pairs of layers are in the relaxation
  private final double unit; // of multipliers
  private final double[][] share; // [layer][i], load over cap of a group

  /**
   * Multipliers {@code [side][layer][i]}: i is of the layer before, of the layer, or of the next.
   */
  private final double[][][] held;

  /**
   * Starts with no charge.
   *
   * @param width parts of a group
   * @param unit a multiplier that matters
   */
  CapMultipliers(Chain chain, int width, double unit) {
    this.layers = chain.layers();
    this.experts = chain.size(0);
    this.hasGaps = chain.prices().hop() > 0;
    this.unit = unit;
    this.share = new double[layers][experts];
    this.held = new double[3][layers][experts];
    for (int layer = 0; layer < layers; layer++) {
      long cap = chain.cap(layer);
      for (int i = 0; cap != Long.MAX_VALUE && i < experts; i++) {
        share[layer][i] = chain.load(layer, i) / (Math.max(0.5, cap) * width);
      }
    }
  }

  private boolean isCapped(int layer) {
    for (double s : share[layer]) {
      if (s > 0) {
        return true;
      }
    }

    return false;
  }

  /** What all the room is worth at the multipliers. */
  double room() {
    double sum = 0;
    for (int side = 0; side < 3; side++) {
      for (int layer = 0; layer < layers; layer++) {
        for (int i = 0; i < experts; i++) {
          sum += held[side][layer][i] * (side == 1 ? 1 - share[layer][i] : 1);
        }
      }
    }

    return sum;
  }

  /** Adds the charges to a relaxation, times a factor. */
  void addTo(GramBound relaxation, double factor) {
    for (int layer = 0; layer < layers; layer++) {
      for (int i = 0; i < experts; i++) {
        for (int j = 0; j < experts; j++) {
          double load = -factor * share[layer][j];
          if (load == 0) {
            continue;
          }

          if (i != j) {
            relaxation.addInside(layer, i, j, load * held[1][layer][i]);
          }

          if (layer > 0 && hasGaps) {
            relaxation.addPair(layer - 1, i, j, load * held[0][layer][i]);
          }

          if (layer < layers - 1 && hasGaps) {
            relaxation.addPair(layer, j, i, load * held[2][layer][i]);
          }
        }
      }
    }
  }

  /** Moves the multipliers by a share of the excess that the relaxation has now. */
  void follow(GramBound relaxation, double step) {
    for (int layer = 0; layer < layers; layer++) {
      if (!isCapped(layer)) {
        continue;
      }

      for (int i = 0; i < experts; i++) {
        double before = -1;
        double same = share[layer][i] - 1;
        double next = -1;
        for (int j = 0; j < experts; j++) {
          double load = share[layer][j];
          same += i == j ? 0 : load * relaxation.together(layer, i, j);
          before += layer == 0 || !hasGaps ? 0 : load * relaxation.stays(layer - 1, i, j);
          next += layer == layers - 1 || !hasGaps ? 0 : load * relaxation.stays(layer, j, i);
        }

        rise(0, layer, i, step * before);
        rise(1, layer, i, step * same);
        rise(2, layer, i, step * next);
      }
    }
  }

  private void rise(int side, int layer, int i, double excess) {
    held[side][layer][i] = Math.max(0, held[side][layer][i] + unit * excess);
  }
}
