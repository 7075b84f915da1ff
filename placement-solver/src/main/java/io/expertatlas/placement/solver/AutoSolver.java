package io.expertatlas.placement.solver;

import io.expertatlas.placement.PlacementProblem;
import java.time.Duration;

/**
 * Picks for itself: the exact dynamic program where the partitions of a layer are few, otherwise
 * the pooled search. The note says which and why.
 */
public final class AutoSolver implements PlacementSolver {
  @Override
  public String name() {
    return "auto";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(name(), problem, config, run -> solve(run, config));
  }

  private SolverOutcome solve(SolverRun run, SolverConfig config) {
    SolverOutcome exact = part(run, "viterbi", config, 0.5);
    if (exact.status() == SolverStatus.OPTIMAL) {
      return exact.as(name(), "viterbi, " + exact.note());
    }

    return part(run, "pool", config, 1).as(name(), "pool; no viterbi: " + exact.note());
  }

  /** Runs another solver for a share of the time that is left. */
  private static SolverOutcome part(
      SolverRun run, String solver, SolverConfig config, double share) {
    long nanos = Math.max(1_000_000, (long) (run.secondsLeft() * share * 1e9));
    return PlacementSolvers.find(solver)
        .solve(run.problem(), config.withTimeLimit(Duration.ofNanos(nanos)));
  }
}
