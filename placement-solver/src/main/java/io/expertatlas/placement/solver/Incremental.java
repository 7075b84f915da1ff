package io.expertatlas.placement.solver;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import java.util.List;
import java.util.function.Supplier;

/**
 * ExFlow's incremental strategy: solve for growing prefixes of a trace, each from the plan of the
 * one before. The last outcome counts.
 */
public final class Incremental {
  private Incremental() {}

  /**
   * Solves for each prefix in turn. If one gives no plan, the next starts from the last plan there
   * is.
   *
   * @param prefixes counts of growing prefixes, the last of the whole trace; called once each
   * @param config its time limit holds for each solve
   * @return the outcome of the last prefix
   * @throws IllegalArgumentException if there is no prefix
   */
  public static SolverOutcome solve(
      PlacementSolver solver,
      List<Supplier<RouteCounts>> prefixes,
      Topology topology,
      Objective objective,
      SolverConfig config) {
    if (prefixes.isEmpty()) {
      throw new IllegalArgumentException("Invalid increments: none");
    }

    SolverConfig next = config;
    SolverOutcome outcome = null;
    for (Supplier<RouteCounts> prefix : prefixes) {
      outcome = solver.solve(PlacementProblem.balanced(prefix.get(), topology, objective), next);
      if (outcome.placement().isPresent()) {
        next = next.withWarmStart(outcome.placement().get());
      }
    }

    return outcome;
  }
}
