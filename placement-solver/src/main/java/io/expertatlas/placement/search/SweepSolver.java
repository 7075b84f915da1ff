package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import java.util.SplittableRandom;

/**
 * Local search: sweeps of one-layer assignments from the warm start, or contiguous blocks, and from
 * random starts. The best local optimum wins.
 */
public final class SweepSolver implements PlacementSolver {
  /** Starts, the first of them the warm start or contiguous blocks. */
  public static final int STARTS = 20;

  @Override
  public String name() {
    return "sweep";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.ofPairs(
        name(),
        problem,
        config,
        run -> {
          int[][] first = run.warmStart().orElseGet(() -> Starts.vanilla(problem));
          int[][] best =
              new Sweeps(run.chain(), run::isTimeUp)
                  .best(
                      first,
                      (int) Math.min(STARTS, config.stepLimit()),
                      new SplittableRandom(config.seed()));
          long bound = GapBound.of(run.chain());
          run.report("sweeps", run.chain().cost(best), bound);
          return run.solved(best, bound, "");
        });
  }
}
