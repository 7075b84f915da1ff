package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import io.expertatlas.placement.solver.SolverStatus;
import java.util.Optional;
import java.util.OptionalInt;

/** The exact optimum by dynamic programming, where the partitions of a layer are few. */
public final class ViterbiSolver implements PlacementSolver {
  /** Elementary steps in a second that any machine of today takes. */
  private static final double STEPS_PER_SECOND = 2e8;

  @Override
  public String name() {
    return "viterbi";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(name(), problem, config, ViterbiSolver::solve);
  }

  private static SolverOutcome solve(SolverRun run) {
    if (run.problem().caps().hasTotals()) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "viterbi takes caps on the load of layers only, asked is "
              + run.problem().caps().inWords());
    }

    Optional<Viterbi> viterbi = Viterbi.of(run.chain(), run::isTimeUp);
    if (viterbi.isEmpty()) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "a layer of %d experts on %s GPUs has more than %d partitions%s"
              .formatted(
                  run.problem().shape().experts(),
                  run.problem().topology(),
                  Viterbi.MAX_STATES,
                  run.problem().caps().hasLoad()
                      ? ", or too few of those tried are within the cap"
                      : ""));
    }

    OptionalInt infeasible = viterbi.get().infeasibleLayer();
    if (infeasible.isPresent()) {
      return run.unsolved(
          SolverStatus.INFEASIBLE,
          "no partition of layer %d has at most %d choices on every GPU"
              .formatted(infeasible.getAsInt(), run.problem().caps().load(infeasible.getAsInt())));
    }

    double seconds = viterbi.get().steps() / STEPS_PER_SECOND;
    if (seconds > 10 + 4 * run.secondsLeft()) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "%d partitions a layer need some %.0f s, the time limit leaves %.0f s"
              .formatted(viterbi.get().states(), seconds, run.secondsLeft()));
    }

    Optional<int[][]> map = viterbi.get().solve();
    if (map.isEmpty()) {
      return run.unsolved(
          SolverStatus.UNKNOWN,
          "time ran out: %d partitions a layer".formatted(viterbi.get().states()));
    }

    long cost = run.chain().cost(map.get());
    run.report("partitions", cost, cost);
    return run.solved(
        map.get(), cost, "exact: %d partitions a layer".formatted(viterbi.get().states()));
  }
}
