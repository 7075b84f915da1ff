package io.expertatlas.placement.ortools;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.search.GapBound;
import io.expertatlas.placement.search.Starts;
import io.expertatlas.placement.search.Sweeps;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import io.expertatlas.placement.solver.SolverStatus;
import java.util.SplittableRandom;

/**
 * The pair program on all GPUs at once, from the warm start or from a local optimum of the sweeps.
 */
public final class DirectSolver implements PlacementSolver {
  private static final int STARTS = 5;

  @Override
  public String name() {
    return "direct";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.ofUsualPairs(name(), problem, config, DirectSolver::solve);
  }

  private static SolverOutcome solve(SolverRun run) {
    long variables = PairProgram.pairVariables(run.chain());
    if (variables > PairProgram.MAX_PAIR_VARIABLES) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "the pair program has %d variables, at most %d"
              .formatted(variables, PairProgram.MAX_PAIR_VARIABLES));
    }

    int[][] start =
        run.warmStart()
            .orElseGet(
                () ->
                    new Sweeps(run.chain(), run::isTimeUp)
                        .best(
                            Starts.vanilla(run.problem()),
                            STARTS,
                            new SplittableRandom(run.config().seed())));
    long gapBound = GapBound.of(run.chain());
    PairProgram program = new PairProgram(run.chain(), java.util.Optional.of(start));
    PairProgram.Result result =
        program.solve(
            run.secondsLeft(),
            run.config().seed(),
            run.config().threads(),
            (cost, bound) -> run.report("pair program", cost, Math.max(bound, gapBound)),
            run.config().isStopped());
    int[][] map = result.map().orElse(start);
    return run.solved(map, Math.max(result.bound(), gapBound), variables + " pair variables");
  }
}
