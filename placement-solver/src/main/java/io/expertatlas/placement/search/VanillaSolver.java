package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;

/** Baseline: contiguous blocks of experts, GPU {@code floor(e * G / E)}, in every layer. */
public final class VanillaSolver implements PlacementSolver {
  @Override
  public String name() {
    return "vanilla";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(
        name(),
        problem,
        config,
        run -> run.solved(Starts.vanilla(problem), GapBound.of(run.chain()), ""));
  }
}
