package io.expertatlas.placement;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.ModelShape;
import java.util.Objects;

/**
 * What a placement is asked for: routes to serve, a cluster, an objective, how many experts of a
 * layer each GPU may hold, and what must not be exceeded.
 *
 * @param counts the routes that the placement is fitted on
 * @param topology the cluster
 * @param objective what to minimise
 * @param slots experts of a layer on each GPU
 * @param caps what a placement must not exceed
 */
public record PlacementProblem(
    RouteCounts counts, Topology topology, Objective objective, SlotBounds slots, Caps caps) {
  /**
   * Checks that the parts fit each other. Bounds that no placement meets are allowed: solving says
   * so.
   *
   * @throws IllegalArgumentException if the slots are of another number of GPUs, or the caps of
   *     another number of layers
   */
  public PlacementProblem {
    Objects.requireNonNull(counts, "counts is null");
    Objects.requireNonNull(topology, "topology is null");
    Objects.requireNonNull(objective, "objective is null");
    if (slots.gpus() != topology.gpus()) {
      throw new IllegalArgumentException(
          "Invalid slots: of %d GPUs, the topology %s has %d"
              .formatted(slots.gpus(), topology, topology.gpus()));
    }

    if (!caps.isFor(counts.shape().layers())) {
      throw new IllegalArgumentException(
          "Invalid caps: not of %d layers, %s".formatted(counts.shape().layers(), caps));
    }
  }

  /**
   * The problem of equal expert counts without caps: each GPU holds {@code E / G} experts of each
   * layer, rounded down or up where E is no multiple of G. If the topology says how many slots GPUs
   * have, these are the only bounds.
   */
  public static PlacementProblem balanced(
      RouteCounts counts, Topology topology, Objective objective) {
    return new PlacementProblem(
        counts, topology, objective, SlotBounds.of(counts.shape().experts(), topology), Caps.NONE);
  }

  /** The same for another objective. */
  public PlacementProblem withObjective(Objective other) {
    return new PlacementProblem(counts, topology, other, slots, caps);
  }

  /** The same with other bounds on experts per GPU. */
  public PlacementProblem withSlots(SlotBounds other) {
    return new PlacementProblem(counts, topology, objective, other, caps);
  }

  /** The same with other caps. */
  public PlacementProblem withCaps(Caps other) {
    return new PlacementProblem(counts, topology, objective, slots, other);
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return counts.shape();
  }

  /** Whether any placement meets the bounds on experts per GPU. */
  public boolean isFeasible() {
    return slots.canHold(shape().experts());
  }

  /** Whether a placement is for this model and cluster and meets the slots and the caps. */
  public boolean isMetBy(Placement placement) {
    return hasSlotsFor(placement)
        && (caps.isNone() || caps.violation(PlacementCost.of(counts, placement)).isEmpty());
  }

  /**
   * Whether a placement is for this model and cluster, with one copy of each expert, and meets the
   * slots, whatever the caps.
   */
  public boolean hasSlotsFor(Placement placement) {
    if (placement.hasCopies()
        || !placement.topology().equals(topology)
        || placement.layers() != shape().layers()
        || placement.experts() != shape().experts()) {
      return false;
    }

    for (int layer = 0; layer < placement.layers(); layer++) {
      int[] held = new int[topology.gpus()];
      for (int expert = 0; expert < placement.experts(); expert++) {
        held[placement.gpu(layer, expert)]++;
      }

      for (int gpu = 0; gpu < held.length; gpu++) {
        if (!slots.allows(gpu, held[gpu])) {
          return false;
        }
      }
    }

    return true;
  }

  /** The balance in words, for tables and logs. */
  public String balance() {
    boolean exact = slots.isUniform() && slots.least(0) == slots.most(0);
    return exact
        ? slots.toString()
        : "%s (%d experts, %d GPUs)".formatted(slots, shape().experts(), topology.gpus());
  }
}
