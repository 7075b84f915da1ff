package io.expertatlas.placement.report;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import java.util.Objects;

/**
 * A placement with what a trace pays under it.
 *
 * @param name what it is called in tables and plots
 * @param placement the placement
 * @param cost its cost
 */
public record ScoredPlacement(String name, Placement placement, PlacementCost cost) {
  /** Checks that nothing is null. */
  public ScoredPlacement {
    Objects.requireNonNull(name, "name is null");
    Objects.requireNonNull(placement, "placement is null");
    Objects.requireNonNull(cost, "cost is null");
  }
}
