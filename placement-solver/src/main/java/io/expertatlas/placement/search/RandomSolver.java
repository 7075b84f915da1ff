package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import java.util.SplittableRandom;

/** Baseline: equal counts at random, by the seed. */
public final class RandomSolver implements PlacementSolver {
  @Override
  public String name() {
    return "random";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(
        name(),
        problem,
        config,
        run ->
            run.solved(
                Starts.random(run.chain(), new SplittableRandom(config.seed())),
                GapBound.of(run.chain()),
                ""));
  }
}
