package io.expertatlas.placement;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.ModelShape;
import java.util.Objects;

/**
 * What a placement is asked for: routes to serve, a cluster, an objective, and how many experts of
 * a layer each GPU may hold. Every layer has the same bounds.
 *
 * @param counts the routes that the placement is fitted on
 * @param topology the cluster
 * @param objective what to minimise
 * @param least fewest experts of a layer on a GPU
 * @param most most experts of a layer on a GPU
 */
public record PlacementProblem(
    RouteCounts counts, Topology topology, Objective objective, int least, int most) {
  /**
   * Checks the bounds. Bounds that no placement meets are allowed: solving says so.
   *
   * @throws IllegalArgumentException if {@code least} is negative or above {@code most}
   */
  public PlacementProblem {
    Objects.requireNonNull(counts, "counts is null");
    Objects.requireNonNull(topology, "topology is null");
    Objects.requireNonNull(objective, "objective is null");
    if (least < 0 || most < least) {
      throw new IllegalArgumentException(
          "Invalid experts per GPU and layer: %d to %d, at least 0 to at least as many"
              .formatted(least, most));
    }
  }

  /**
   * The problem of equal expert counts: each GPU holds {@code E / G} experts of each layer, rounded
   * down or up where E is no multiple of G.
   */
  public static PlacementProblem balanced(
      RouteCounts counts, Topology topology, Objective objective) {
    int experts = counts.shape().experts();
    int gpus = topology.gpus();
    return new PlacementProblem(
        counts, topology, objective, experts / gpus, (experts + gpus - 1) / gpus);
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return counts.shape();
  }

  /** Whether any placement meets the bounds. */
  public boolean isFeasible() {
    long gpus = topology.gpus();
    return least * gpus <= shape().experts() && most * gpus >= shape().experts();
  }

  /** Whether a placement is for this model and cluster and meets the bounds. */
  public boolean isMetBy(Placement placement) {
    if (!placement.topology().equals(topology)
        || placement.layers() != shape().layers()
        || placement.experts() != shape().experts()) {
      return false;
    }

    for (int layer = 0; layer < placement.layers(); layer++) {
      int[] held = new int[topology.gpus()];
      for (int expert = 0; expert < placement.experts(); expert++) {
        held[placement.gpu(layer, expert)]++;
      }

      for (int h : held) {
        if (h < least || h > most) {
          return false;
        }
      }
    }

    return true;
  }

  /** The balance in words, for tables and logs. */
  public String balance() {
    return least == most
        ? "%d experts of each layer on every GPU".formatted(least)
        : "%d to %d experts of each layer on a GPU (%d experts, %d GPUs)"
            .formatted(least, most, shape().experts(), topology.gpus());
  }
}
