package io.expertatlas.placement.ortools;

import com.google.ortools.graph.LinearSumAssignment;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.SlotBounds;
import io.expertatlas.placement.search.GapBound;
import io.expertatlas.placement.search.Sweeps;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import io.expertatlas.placement.solver.SolverStatus;

/**
 * The chain of assignments for exactly one expert of each layer on each GPU: each gap's best
 * matching is independent of the other gaps, as only the relative names of two layers matter.
 *
 * <p>Exact if all hops cost the same: one node, or one GPU in each node. On other clusters the
 * matchings still cross fewest GPUs, and sweeps then choose which of them share a node: the outcome
 * is not proven to be optimal, the bound is.
 */
public final class AssignmentSolver implements PlacementSolver {
  @Override
  public String name() {
    return "assignment";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.ofUsualPairs(name(), problem, config, AssignmentSolver::solve);
  }

  private static SolverOutcome solve(SolverRun run) {
    PlacementProblem problem = run.problem();
    int experts = problem.shape().experts();
    if (experts != problem.topology().gpus()
        || !problem.slots().equals(SlotBounds.uniform(experts, 1, 1))) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "it needs one expert of each layer on every GPU, here are %s"
              .formatted(problem.balance()));
    }

    NativeLibrary.load();
    Chain chain = run.chain();
    int[][] map = new int[chain.layers()][experts];
    for (int expert = 0; expert < experts; expert++) {
      map[0][expert] = expert;
    }

    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      match(chain, gap, map);
    }

    boolean flat = chain.parts().nodes() == 1 || chain.parts().gpusPerNode() == 1;
    if (flat) {
      return run.solved(map, chain.cost(map), "exact: independent assignments");
    }

    return run.solved(
        new Sweeps(chain, run::isTimeUp).improve(map),
        GapBound.of(chain),
        "assignments are exact for crossings, sweeps chose the nodes");
  }

  private static void match(Chain chain, int gap, int[][] map) {
    int experts = map[gap].length;
    long high = 0;
    for (int from = 0; from < experts; from++) {
      for (int to = 0; to < experts; to++) {
        high = Math.max(high, chain.weight(gap, from, to));
      }
    }

    LinearSumAssignment assignment = new LinearSumAssignment();
    try {
      for (int from = 0; from < experts; from++) {
        for (int to = 0; to < experts; to++) {
          assignment.addArcWithCost(from, to, high - chain.weight(gap, from, to));
        }
      }

      LinearSumAssignment.Status status = assignment.solve();
      if (status != LinearSumAssignment.Status.OPTIMAL) {
        throw new IllegalStateException(
            "Cannot match layers %d and %d: %s".formatted(gap, gap + 1, status));
      }

      for (int from = 0; from < experts; from++) {
        map[gap + 1][assignment.getRightMate(from)] = map[gap][from];
      }
    } finally {
      assignment.delete();
    }
  }
}
