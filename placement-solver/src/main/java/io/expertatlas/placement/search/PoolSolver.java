package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;

/**
 * The search for layers of many experts: {@link PoolSearch pooled anneals}. Ends when epochs bring
 * nothing new, or by the time limit; if the limit is not hit, the same seed gives the same plan,
 * whatever the number of threads.
 */
public final class PoolSolver implements PlacementSolver {
  private static final int PATIENCE = 6;

  @Override
  public String name() {
    return "pool";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.ofPairs(
        name(),
        problem,
        config,
        run -> {
          long bound = GapBound.of(run.chain());
          int[][] start = run.warmStart().orElseGet(() -> Starts.vanilla(problem));
          PoolSearch search =
              new PoolSearch(
                  run.chain(),
                  config.seed(),
                  Boolean.getBoolean(Sweeps.ASSERT_PROPERTY),
                  run::isTimeUp,
                  map -> run.report("pool", run.chain().cost(map), bound));
          int[][] best;
          try (Workers workers = new Workers(name(), config.threads())) {
            best = search.run(start, PATIENCE, workers);
          }

          return run.solved(best, bound, "");
        });
  }
}
