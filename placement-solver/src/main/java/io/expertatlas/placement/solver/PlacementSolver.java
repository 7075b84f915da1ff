package io.expertatlas.placement.solver;

import io.expertatlas.placement.PlacementProblem;

/** A way to choose a placement. Implementations hold no state and may be shared by threads. */
public interface PlacementSolver {
  /** The name that {@code --solver} takes. */
  String name();

  /** Looks for a placement with the smallest objective until done or out of time. */
  SolverOutcome solve(PlacementProblem problem, SolverConfig config);
}
