package io.expertatlas.placement.copies;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.SlotBounds;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import io.expertatlas.placement.solver.SolverStatus;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * Chooses which experts get copies, how many, and where.
 *
 * <p>{@link #EPLB} is the load balancer's greedy. {@link #AUTO} minimises the objective within the
 * caps. For load: each layer annealed from the greedy's deals and thus never hotter, small layers
 * proven by an {@link ExactPacking}; then, at the same load, hops lowered by names of GPUs and by
 * exchanges that keep every layer's hottest GPU as it is. For hops, crossings and fan-out: from a
 * plan with one copy each whose spare slots are filled by what saves most, and under caps on load
 * also from the load plan, annealed within the caps.
 *
 * <p>One thread; the same seed gives the same plan if no time limit is hit.
 */
public final class CopySolver {
  /** The search of this package. */
  public static final String AUTO = "auto";

  /** The greedy of DeepSeek's load balancer. */
  public static final String EPLB = "eplb";

  private static final double ONE_COPY_PART = 0.4; // of the time
  private static final double RENAMING_PART = 0.1; // of the time that is left

  private final CopyProblem problem;
  private final SolverRun run;
  private final int groups;
  private final SplittableRandom random;
  private final LoadPackings loads;
  private String how = "";

  private CopySolver(CopyProblem problem, SolverRun run, int groups) {
    this.problem = problem;
    this.run = run;
    this.groups = groups;
    this.random = new SplittableRandom(run.config().seed());
    this.loads = new LoadPackings(problem, run, groups, random);
  }

  /**
   * A solver that deals redundant slots for any problem.
   *
   * @param solver {@link #AUTO} or {@link #EPLB}
   * @param redundant slots of each layer above one for each expert
   * @param groups groups of experts that the router picks from; 1 if it has none
   */
  public static PlacementSolver of(String solver, int redundant, int groups) {
    return new PlacementSolver() {
      @Override
      public String name() {
        return solver;
      }

      @Override
      public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
        return CopySolver.solve(
            solver, CopyProblem.ofRedundant(problem, redundant), config, groups);
      }
    };
  }

  /**
   * Solves a problem.
   *
   * @param solver {@link #AUTO} or {@link #EPLB}
   * @param groups groups of experts that the router picks from; 1 if it has none
   * @throws IllegalArgumentException if the solver is another one
   */
  static SolverOutcome solve(String solver, CopyProblem problem, SolverConfig config, int groups) {
    if (!solver.equals(AUTO) && !solver.equals(EPLB)) {
      throw new IllegalArgumentException(
          "Invalid solver for redundant slots: %s, one of %s, %s".formatted(solver, AUTO, EPLB));
    }

    PlacementProblem one = problem.problem();
    SlotBounds balanced = SlotBounds.balanced(one.shape().experts(), one.topology().gpus());
    return SolverRun.of(
        solver,
        one.withSlots(balanced),
        config,
        run -> new CopySolver(problem, run, groups).solve(solver));
  }

  private SolverOutcome solve(String solver) {
    int experts = problem.problem().shape().experts();
    if (run.config().warmStart().isPresent()) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED, "redundant slots are not dealt from a warm start");
    }

    if (experts % groups != 0) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "%d groups do not divide %d experts".formatted(groups, experts));
    }

    if (solver.equals(EPLB)) {
      how =
          loads.isByNodes()
              ? "groups on nodes first: %d groups".formatted(groups)
              : "one flat pass over the GPUs";
      return outcome(loads.greedy());
    }

    for (int layer = 0; layer < loads.layers(); layer++) {
      long cap = problem.problem().caps().load(layer);
      if (cap < loads.bound(layer)) {
        return run.unsolved(
            SolverStatus.INFEASIBLE,
            "layer %d needs %d choices on its hottest GPU, at most %d"
                .formatted(layer, loads.bound(layer), cap));
      }
    }

    return problem.problem().objective() == Objective.LOAD ? leastLoad() : leastPaths();
  }

  private Topology topology() {
    return problem.problem().topology();
  }

  private int gpus() {
    return topology().gpus();
  }

  private SolverOutcome leastLoad() {
    Packing[] layers = loads.least();
    how = "load of %d of %d layers proven least".formatted(loads.layersProven(), layers.length);
    double[] caps = new double[layers.length];
    Arrays.setAll(caps, layer -> layers[layer].hottest() * (1 + 1e-12));
    CopySearch search = search(topology(), caps);
    int[][] before = deals(layers);
    search.lowerHops(layers, false, false, hops -> {});
    for (int layer = 0; layer < layers.length; layer++) {
      Packing kept = new Packing(layers[layer].choices(), gpus(), before[layer]);
      if (layers[layer].exactHottest() > kept.exactHottest()) {
        layers[layer] = kept; // rounding hid the difference
      }
    }

    how += "; then hops lowered at the same load";
    return outcome(layers);
  }

  private static int[][] deals(Packing[] layers) {
    return Arrays.stream(layers).map(Packing::toArray).toArray(int[][]::new);
  }

  private CopySearch search(Topology view, double[] caps) {
    return new CopySearch(problem.problem().counts(), view, caps, run::isTimeUp, random.split());
  }

  /** Hops, crossings or fan-out. */
  private SolverOutcome leastPaths() {
    PlacementProblem one = problem.problem();
    double[] caps = new double[loads.layers()];
    Arrays.setAll(
        caps,
        layer ->
            one.caps().load(layer) == Long.MAX_VALUE ? Double.MAX_VALUE : one.caps().load(layer));
    SolverOutcome single = oneCopyEach();
    Optional<SolverOutcome> first = Optional.empty();
    if (single.placement().isPresent()) {
      Packing[] layers = filled(single.placement().get(), caps);
      lower(layers, caps);
      how = "from one copy each by " + single.note();
      first = Optional.of(outcome(layers));
    }

    if (first.isPresent() && !one.caps().hasLoad()) {
      return first.get();
    }

    Packing[] layers = loads.least();
    Optional<String> tooHot = tooHot(layers);
    if (tooHot.isPresent()) {
      return first.orElseGet(() -> run.unsolved(SolverStatus.UNKNOWN, tooHot.get()));
    }

    how = "from a plan for load";
    lower(layers, caps);
    SolverOutcome second = outcome(layers);
    return first.isPresent()
            && first.get().status().hasPlacement()
            && (!second.status().hasPlacement() || first.get().objective() <= second.objective())
        ? first.get()
        : second;
  }

  private SolverOutcome oneCopyEach() {
    for (int layer = 0; layer < loads.layers(); layer++) {
      long hottest = Arrays.stream(problem.choices(layer)).max().orElseThrow();
      long cap = problem.problem().caps().load(layer);
      if (hottest > cap) {
        return run.unsolved(
            SolverStatus.INFEASIBLE,
            "an expert of layer %d has %d choices, at most %d".formatted(layer, hottest, cap));
      }
    }

    long nanos = (long) (run.secondsLeft() * ONE_COPY_PART * 1e9);
    return PlacementSolvers.find("auto")
        .solve(
            run.problem(),
            run.config()
                .withTimeLimit(Duration.ofNanos(Math.max(1_000_000, nanos)))
                .withProgress(step -> {}));
  }

  private Optional<String> tooHot(Packing[] layers) {
    for (int layer = 0; layer < layers.length; layer++) {
      long cap = problem.problem().caps().load(layer);
      if (layers[layer].exactHottest() > cap) {
        return Optional.of(
            "layer %d has %d choices on its hottest GPU at best, at most %d"
                .formatted(layer, layers[layer].exactHottest(), cap));
      }
    }

    return Optional.empty();
  }

  private void lower(Packing[] layers, double[] caps) {
    PlacementProblem one = problem.problem();
    Topology view = one.objective().view(topology());
    if (one.objective() != Objective.FANOUT) {
      search(view, caps).lowerHops(layers, false, false, hops -> run.report("hops", hops, 0));
      return;
    }

    double reserved = RENAMING_PART * run.secondsLeft();
    if (gpus() <= TouchCost.MOST_GPUS) {
      new CopySearch(
              one.counts(),
              topology(),
              caps,
              () -> run.isTimeUp() || run.secondsLeft() < reserved,
              random.split())
          .lowerTouches(layers, touches -> run.report("touches", touches, 0));
    } else {
      how += ", above %d GPUs only the loads and names are searched".formatted(TouchCost.MOST_GPUS);
    }

    search(topology(), caps).lowerHops(layers, true, true, hops -> {});
  }

  /** The packings of a placement of one copy each, the spare slots filled by what saves most. */
  private Packing[] filled(Placement placement, double[] caps) {
    Packing[] layers = new Packing[placement.layers()];
    for (int layer = 0; layer < layers.length; layer++) {
      layers[layer] = new Packing(problem.choices(layer), gpus(), problem.deal(placement, layer));
    }

    PlacementProblem one = problem.problem();
    if (one.objective() == Objective.FANOUT && gpus() <= TouchCost.MOST_GPUS) {
      search(topology(), caps).fillTouches(layers);
    } else if (one.objective() != Objective.FANOUT) {
      search(one.objective().view(topology()), caps).fillHops(layers);
    }

    return layers;
  }

  private SolverOutcome outcome(Packing[] layers) {
    PlacementProblem one = problem.problem();
    Placement placement = CopySearch.placement(topology(), layers);
    PlacementCost cost = PlacementCost.of(one.counts(), placement);
    Optional<String> violation = one.caps().violation(cost);
    if (violation.isPresent()) {
      return run.unsolved(
          SolverStatus.UNKNOWN,
          "no placement within the caps was found; of the best one, " + violation.get());
    }

    long objective = one.objective().total(cost);
    long proven = CopyBound.of(problem, loads.bound());
    boolean isEstimate =
        cost.estimated()
            && one.objective() != Objective.FANOUT
            && one.objective() != Objective.LOAD;
    long bound = isEstimate ? Math.min(objective, proven) : proven; // an estimate is rounded
    return new SolverOutcome(
        run.name(),
        objective == bound && !isEstimate ? SolverStatus.OPTIMAL : SolverStatus.FEASIBLE,
        Optional.of(placement),
        objective,
        bound,
        run.seconds(),
        run.config().seed(),
        how);
  }
}
