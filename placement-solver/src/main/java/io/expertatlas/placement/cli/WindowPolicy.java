package io.expertatlas.placement.cli;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.cli.MoveOptions.Terms;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** When a placement follows the windows of a trace, and what came of it. */
final class WindowPolicy {
  private final String name;
  private final Optional<Terms> terms;
  private Placement plan;
  private double hops; // total over all tokens scored
  private long moved;
  private final List<Double> perWindow = new ArrayList<>();
  private final List<Long> movedBefore = new ArrayList<>();

  /**
   * A policy that has no plan yet.
   *
   * @param terms when it moves; empty: never
   */
  WindowPolicy(String name, Optional<Terms> terms) {
    this.name = name;
    this.terms = terms;
  }

  String name() {
    return name;
  }

  Optional<Terms> terms() {
    return terms;
  }

  /** The plan that it follows now. */
  Placement plan() {
    return plan;
  }

  void follow(Placement next) {
    plan = next;
  }

  /**
   * Scores the plan on a window.
   *
   * @param movedNow experts that moved before it
   */
  void score(RouteCounts counts, long movedNow) {
    PlacementCost cost = PlacementCost.of(counts, plan);
    hops += cost.hops();
    moved += movedNow;
    perWindow.add(cost.hopsPerToken());
    movedBefore.add(movedNow);
  }

  /** Hops over all windows scored. */
  double hops() {
    return hops;
  }

  /** Experts moved over all windows scored. */
  long moved() {
    return moved;
  }

  /** Bytes sent and moved over all windows scored. */
  double bytes(Terms at) {
    return hops * at.hopBytes() + moved * (double) at.expertBytes();
  }

  /** Hops a token of each window scored. */
  List<Double> hopsByWindow() {
    return perWindow;
  }

  /** Experts that moved before each window scored. */
  List<Long> movedBeforeWindow() {
    return movedBefore;
  }
}
