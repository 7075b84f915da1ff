package io.expertatlas.placement.solver;

import java.util.Locale;

/** How a solve ended. */
public enum SolverStatus {
  /** No placement is better. */
  OPTIMAL,
  /** A placement, not proven to be the best. */
  FEASIBLE,
  /** No placement meets the bounds. */
  INFEASIBLE,
  /** Time ran out before any placement was found. */
  UNKNOWN,
  /** The solver does not do this problem: its note says why. */
  UNSUPPORTED;

  /** The word of files and tables. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Whether there is a placement. */
  public boolean hasPlacement() {
    return this == OPTIMAL || this == FEASIBLE;
  }
}
