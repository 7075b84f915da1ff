package io.expertatlas.placement.solver;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Topology;

/**
 * What a chain charges for each unit, none negative. An objective is one of these sums; a weighted
 * sum serves searches that trade one objective against a cap on another.
 *
 * @param hop for a hop of a first choice
 * @param gpuTouch for a distinct GPU of a token's choices in a layer
 * @param nodeTouch for a distinct node of a token's choices in a layer
 * @param hottest for a choice on the hottest GPU of a layer
 */
public record Prices(long hop, long gpuTouch, long nodeTouch, long hottest) {
  /**
   * Checks the prices.
   *
   * @throws IllegalArgumentException if one is negative
   */
  public Prices {
    if (hop < 0 || gpuTouch < 0 || nodeTouch < 0 || hottest < 0) {
      throw new IllegalArgumentException(
          "Invalid prices: %d a hop, %d a GPU, %d a node, %d a choice on the hottest GPU, at least 0"
              .formatted(hop, gpuTouch, nodeTouch, hottest));
    }
  }

  /** The prices of an objective on a cluster. */
  public static Prices of(Objective objective, Topology topology) {
    return switch (objective) {
      case HOPS, CROSSINGS -> new Prices(1, 0, 0, 0);
      case FANOUT -> new Prices(0, 1, topology.nodes() > 1 ? 1 : 0, 0);
      case LOAD -> new Prices(0, 0, 0, 1);
      case COPIES -> new Prices(1, 2, 0, 0);
    };
  }

  /** Whether anything but hops is charged. */
  public boolean hasLayerTerms() {
    return hasFanout() || hottest > 0;
  }

  /** Whether touches of GPUs or nodes are charged. */
  public boolean hasFanout() {
    return gpuTouch > 0 || nodeTouch > 0;
  }
}
