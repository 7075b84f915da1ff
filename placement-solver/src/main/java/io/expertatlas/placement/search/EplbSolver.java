package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import io.expertatlas.placement.solver.SolverStatus;

/**
 * Baseline: what an engine's own load balancer would do without redundant slots, {@link Eplb}'s
 * packing. Every expert has one copy, and every GPU equally many. Blind to hops.
 */
public final class EplbSolver implements PlacementSolver {
  private final int groups;

  /** For a model whose router picks from all experts. */
  public EplbSolver() {
    this(1);
  }

  private EplbSolver(int groups) {
    this.groups = groups;
  }

  /**
   * The same for a model whose router picks groups of experts first: they are kept on a node if the
   * nodes divide them.
   *
   * @param number of groups, {@code n_group} of the model
   */
  public EplbSolver withGroups(int number) {
    return new EplbSolver(number);
  }

  @Override
  public String name() {
    return "eplb";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(name(), problem, config, this::solve);
  }

  private SolverOutcome solve(SolverRun run) {
    PlacementProblem problem = run.problem();
    int experts = problem.shape().experts();
    int gpus = problem.topology().gpus();
    int missing = (gpus - experts % gpus) % gpus;
    if (!problem.slots().isUniform()) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "it needs equally many slots on every GPU, here are " + problem.balance());
    }

    if (missing != 0 || !problem.slots().allows(0, experts / gpus)) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "equal slots for %d experts on %d GPUs need copies of experts. Maybe use --redundant %d"
              .formatted(experts, gpus, missing));
    }

    if (experts % groups != 0) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "%d groups do not divide %d experts".formatted(groups, experts));
    }

    int nodes = problem.topology().hasEqualNodes() ? problem.topology().nodes() : 1;
    Eplb balancer = new Eplb(experts, groups, nodes, gpus);
    int[][] map = new int[problem.shape().layers()][experts];
    long[] load = new long[experts];
    for (int layer = 0; layer < map.length; layer++) {
      for (int expert = 0; expert < experts; expert++) {
        load[expert] = problem.counts().popularity().choices(layer, expert);
      }

      int[] expertOf = balancer.physicalToLogical(load);
      for (int slot = 0; slot < experts; slot++) {
        map[layer][expertOf[slot]] = slot / (experts / gpus);
      }
    }

    return run.solved(
        map,
        GapBound.of(run.chain()),
        balancer.isHierarchical() && nodes > 1
            ? "groups on nodes first: %d groups".formatted(groups)
            : "one flat pass over the GPUs");
  }
}
