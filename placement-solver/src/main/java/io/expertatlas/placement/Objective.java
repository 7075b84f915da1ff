package io.expertatlas.placement;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** What a placement is chosen for: an exact total over all tokens, the less the better. */
public enum Objective {
  /** Hops of first choices between adjacent layers, at the topology's costs: usually 1 or 2. */
  HOPS {
    @Override
    public long total(PlacementCost cost) {
      return cost.hops();
    }
  },
  /** Changes of GPU of first choices between adjacent layers, wherever the GPUs are. */
  CROSSINGS {
    @Override
    public long total(PlacementCost cost) {
      return cost.crossings();
    }
  },
  /** Distinct GPUs of a token's choices in each layer, plus distinct nodes if there are several. */
  FANOUT {
    @Override
    public long total(PlacementCost cost) {
      return cost.gpuTouches() + (cost.topology().nodes() > 1 ? cost.nodeTouches() : 0);
    }
  },
  /** Choices on the hottest GPU of each layer, summed over the layers. */
  LOAD {
    @Override
    public long total(PlacementCost cost) {
      long total = 0;
      for (int layer = 0; layer < cost.loads().layers(); layer++) {
        total += cost.loads().hottest(layer);
      }

      return total;
    }
  },
  /**
   * Copies of hidden states that are sent if a token stays with its first choice: a change of GPU,
   * and there and back for each further GPU of its choices; {@link Traffic} has the formula.
   */
  COPIES {
    @Override
    public long total(PlacementCost cost) {
      return cost.crossings() + 2 * cost.gpuTouches();
    }
  };

  /** The word of {@code --objective} and of files. */
  public String word() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The cluster as this objective sees it: crossings and copies see no nodes. */
  public Topology view(Topology topology) {
    return this == CROSSINGS || this == COPIES ? topology.flat() : topology;
  }

  /** This objective's total of a cost. */
  public abstract long total(PlacementCost cost);

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
        "Invalid objective: %s, one of %s"
            .formatted(
                word,
                Arrays.stream(values()).map(Objective::word).collect(Collectors.joining(", "))));
  }
}
