package io.expertatlas.placement.copies;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import java.time.Duration;
import java.util.function.Consumer;

/**
 * Deals redundant slots for {@link Aims} of one objective: turns their limits into caps, those on
 * load from the least load that is found with the same redundant slots in a share of the time.
 */
public final class AimedCopySolver implements PlacementSolver {
  private static final int LOAD_SHARE = 10;

  private final String solver;
  private final int redundant;
  private final int groups;
  private final Aims aims;
  private final Consumer<Caps> watch;

  /**
   * A solver.
   *
   * @param solver {@link CopySolver#AUTO} or {@link CopySolver#EPLB}
   * @param redundant slots of each layer above one for each expert
   * @param groups groups of experts that the router picks from; 1 if it has none
   * @param watch told the caps of each solve
   * @throws IllegalArgumentException if the aims have several objectives, or copies
   */
  public AimedCopySolver(
      String solver, int redundant, int groups, Aims aims, Consumer<Caps> watch) {
    if (aims.objectives().size() > 1 || aims.last() == Objective.COPIES) {
      throw new IllegalArgumentException(
          "Invalid objective for redundant slots: %s, one of load, hops, crossings, fanout"
              .formatted(
                  String.join(", ", aims.objectives().stream().map(Objective::word).toList())));
    }

    this.solver = solver;
    this.redundant = redundant;
    this.groups = groups;
    this.aims = aims;
    this.watch = watch;
  }

  @Override
  public String name() {
    return solver;
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    Caps caps = problem.caps();
    long tokens = problem.counts().tokens();
    Aims.Limits limits = aims.caps();
    if (limits.load().isPresent() || limits.loadOverMean().isPresent()) {
      caps = caps.withLoad(loads(problem, config));
    }

    if (limits.hops().isPresent()) {
      caps = caps.withTotal(Objective.HOPS, most(limits.hops().getAsDouble(), tokens));
    }

    if (limits.fanout().isPresent()) {
      long count = tokens * problem.shape().layers();
      caps = caps.withTotal(Objective.FANOUT, most(limits.fanout().getAsDouble(), count));
    }

    watch.accept(caps);
    return CopySolver.of(solver, redundant, groups).solve(problem.withCaps(caps), config);
  }

  private static long most(double mean, long count) {
    return (long) Math.floor(mean * count + 1e-6);
  }

  private long[] loads(PlacementProblem problem, SolverConfig config) {
    Duration share = config.timeLimit().dividedBy(LOAD_SHARE);
    PlacementProblem load = problem.withObjective(Objective.LOAD).withCaps(Caps.NONE);
    SolverOutcome coolest =
        CopySolver.of(CopySolver.AUTO, redundant, groups)
            .solve(
                load,
                config
                    .withTimeLimit(share.isZero() ? Duration.ofMillis(1) : share)
                    .withProgress(step -> {}));
    PlacementCost cost =
        PlacementCost.of(
            problem.counts(),
            coolest
                .placement()
                .orElseThrow(() -> new IllegalStateException("No load: " + coolest.note())));
    long[] caps = new long[problem.shape().layers()];
    for (int layer = 0; layer < caps.length; layer++) {
      double sum = 0;
      for (int gpu = 0; gpu < cost.loads().gpus(); gpu++) {
        sum += cost.loads().exactChoices(layer, gpu);
      }

      double mean = sum / cost.loads().gpus();
      double most =
          Math.min(
              aims.caps().load().orElse(Double.MAX_VALUE) * cost.loads().hottest(layer),
              aims.caps().loadOverMean().orElse(Double.MAX_VALUE) * mean);
      caps[layer] = Math.min(problem.caps().load(layer), (long) Math.floor(most + 1e-9));
    }

    return caps;
  }
}
