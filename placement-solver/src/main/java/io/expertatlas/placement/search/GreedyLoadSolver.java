package io.expertatlas.placement.search;

import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.SlotBounds;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Baseline that looks at load alone: in each layer the most popular expert first, each to the GPU
 * with the least load that still has room (longest processing time first). Blind to hops.
 */
public final class GreedyLoadSolver implements PlacementSolver {
  @Override
  public String name() {
    return "greedy-load";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(
        name(), problem, config, run -> run.solved(map(problem), GapBound.of(run.chain()), ""));
  }

  private static int[][] map(PlacementProblem problem) {
    Popularity popularity = problem.counts().popularity();
    int experts = problem.shape().experts();
    int[][] map = new int[problem.shape().layers()][experts];
    for (int layer = 0; layer < map.length; layer++) {
      int at = layer;
      int[] order =
          IntStream.range(0, experts)
              .boxed()
              .sorted(
                  Comparator.comparingLong((Integer e) -> -popularity.choices(at, e))
                      .thenComparing(e -> e))
              .mapToInt(e -> e)
              .toArray();
      long[] load = new long[problem.topology().gpus()];
      int[] held = new int[load.length];
      int left = experts;
      for (int expert : order) {
        int gpu = leastLoaded(problem, load, held, left--);
        map[layer][expert] = gpu;
        load[gpu] += popularity.choices(layer, expert);
        held[gpu]++;
      }
    }

    return map;
  }

  /** The GPU with the least load that may take one of the experts left. */
  private static int leastLoaded(PlacementProblem problem, long[] load, int[] held, int left) {
    SlotBounds slots = problem.slots();
    int missing = 0; // experts that GPUs below their fewest still need
    for (int gpu = 0; gpu < held.length; gpu++) {
      missing += Math.max(0, slots.least(gpu) - held[gpu]);
    }

    int best = -1;
    for (int gpu = 0; gpu < load.length; gpu++) {
      boolean mayTake =
          held[gpu] < slots.most(gpu) && (held[gpu] < slots.least(gpu) || missing < left);
      if (mayTake && (best < 0 || load[gpu] < load[best])) {
        best = gpu;
      }
    }

    return best;
  }
}
