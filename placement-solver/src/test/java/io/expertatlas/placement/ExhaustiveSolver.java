package io.expertatlas.placement;

import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Tries every placement of a small problem, whatever its objective and caps: the slow twin. */
public final class ExhaustiveSolver implements PlacementSolver {
  @Override
  public String name() {
    return "exhaustive";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    Optional<Placement> best = Optional.empty();
    long least = Long.MAX_VALUE;
    for (Placement placement : all(problem)) {
      long total = problem.objective().total(PlacementCost.of(problem.counts(), placement));
      if (total < least && problem.isMetBy(placement)) {
        best = Optional.of(placement);
        least = total;
      }
    }

    return best.isEmpty()
        ? new SolverOutcome(
            name(), SolverStatus.INFEASIBLE, best, 0, 0, 0, config.seed(), "tried them all")
        : new SolverOutcome(name(), SolverStatus.OPTIMAL, best, least, least, 0, config.seed(), "");
  }

  /** Every placement within the slots. */
  public static List<Placement> all(PlacementProblem problem) {
    List<int[]> layers = new ArrayList<>();
    list(problem, new int[problem.shape().experts()], 0, layers);
    List<Placement> all = new ArrayList<>();
    combine(problem, layers, new int[problem.shape().layers()][], 0, all);
    return all;
  }

  private static void list(PlacementProblem problem, int[] gpus, int at, List<int[]> layers) {
    if (at < gpus.length) {
      for (int gpu = 0; gpu < problem.topology().gpus(); gpu++) {
        gpus[at] = gpu;
        list(problem, gpus, at + 1, layers);
      }

      return;
    }

    int[] held = new int[problem.topology().gpus()];
    for (int gpu : gpus) {
      held[gpu]++;
    }

    for (int gpu = 0; gpu < held.length; gpu++) {
      if (!problem.slots().allows(gpu, held[gpu])) {
        return;
      }
    }

    layers.add(gpus.clone());
  }

  private static void combine(
      PlacementProblem problem, List<int[]> layers, int[][] map, int at, List<Placement> all) {
    if (at == map.length) {
      all.add(new Placement(problem.topology(), map));
      return;
    }

    for (int[] layer : layers) {
      map[at] = layer;
      combine(problem, layers, map, at + 1, all);
    }
  }
}
