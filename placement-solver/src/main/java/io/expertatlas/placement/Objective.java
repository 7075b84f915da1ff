package io.expertatlas.placement;

import java.util.Locale;

/** What a placement is chosen for. */
public enum Objective {
  /** Hops of first choices between adjacent layers: 1 inside a node, 2 across nodes. */
  HOPS,
  /** Changes of GPU of first choices between adjacent layers, wherever the GPUs are. */
  CROSSINGS;

  /** The word of {@code --objective} and of files. */
  public String word() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The cluster as this objective sees it: {@link #CROSSINGS} sees no nodes. */
  public Topology view(Topology topology) {
    return this == HOPS ? topology : new Topology(1, topology.gpus());
  }

  /** This objective's total of a cost. */
  public long total(PlacementCost cost) {
    return this == HOPS ? cost.hops() : cost.crossings();
  }

  /**
   * The objective of a word.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Objective ofWord(String word) {
    for (Objective objective : values()) {
      if (objective.word().equals(word)) {
        return objective;
      }
    }

    throw new IllegalArgumentException(
        "Invalid objective: %s, one of hops, crossings".formatted(word));
  }
}
