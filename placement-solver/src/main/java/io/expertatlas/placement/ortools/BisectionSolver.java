package io.expertatlas.placement.ortools;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.search.GapBound;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import java.util.ArrayDeque;

/**
 * Recursive bisection ("bipart", as ExFlow does by default): all GPUs in two halves, each half in
 * two, and so on. Nodes are separated before GPUs; GPU numbers come out as {@code 2 * half + side}.
 * An odd number of nodes or GPUs is split in proportion.
 */
public final class BisectionSolver implements PlacementSolver {
  @Override
  public String name() {
    return "bipart";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.ofUsualPairs(name(), problem, config, BisectionSolver::solve);
  }

  private static SolverOutcome solve(SolverRun run) {
    int gpus = run.problem().topology().gpus();
    int perNode = run.problem().topology().gpusPerNode();
    Splitter splitter = new Splitter(run, gpus - 1);
    ArrayDeque<int[]> ranges = new ArrayDeque<>(); // level by level
    ranges.add(new int[] {0, gpus});
    while (!ranges.isEmpty()) {
      int[] range = ranges.remove();
      int length = range[1] - range[0];
      if (length > 1) {
        int unit = length > perNode ? perNode : 1;
        int middle = range[0] + length / unit / 2 * unit;
        splitter.split(range[0], middle, range[1]);
        ranges.add(new int[] {range[0], middle});
        ranges.add(new int[] {middle, range[1]});
      }
    }

    return run.solved(splitter.map(), GapBound.of(run.chain()), splitter.note());
  }
}
