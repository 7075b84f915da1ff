package io.expertatlas.placement.search;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverProgress;
import io.expertatlas.placement.solver.SolverStatus;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Solves for {@link Aims} with another solver: turns limits into caps, minimises one objective
 * after the other, each capped at its value for the next, and proves a bound for each answer. GPUs
 * are renamed for fewer hops wherever that costs nothing else.
 *
 * <p>The time limit is for each objective. The outcome's numbers are those of the last one; its
 * note tells of the others.
 */
public final class AimedSolver implements PlacementSolver {
  /** The share of a time limit that goes to finding the least load, if a cap needs it. */
  private static final int LOAD_SHARE = 10;

  /** Solvers that leave caps on totals to {@link TotalsSearch}. */
  private static final List<String> OWN = List.of("auto", "pool");

  private final PlacementSolver solver;
  private final Aims aims;
  private final Duration boundLimit;
  private final boolean renames;
  private final Consumer<Caps> watch;

  /**
   * Wraps a solver.
   *
   * @param boundLimit time for the bound of each objective, at most half the time limit; zero for
   *     the bound of the solver
   * @param renames whether GPUs may get other names than the solver gave them
   * @param watch told the caps of the last objective of each solve
   */
  public AimedSolver(
      PlacementSolver solver,
      Aims aims,
      Duration boundLimit,
      boolean renames,
      Consumer<Caps> watch) {
    this.solver = solver;
    this.aims = aims;
    this.boundLimit = boundLimit;
    this.renames = renames;
    this.watch = watch;
  }

  @Override
  public String name() {
    return solver.name();
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    long startNanos = System.nanoTime();
    SolverConfig next = config;
    Caps caps = problem.caps();
    if (!aims.caps().isNone() && problem.isFeasible()) {
      LeastLoad least = LeastLoad.of(problem, config.withTimeLimit(share(config)), solver);
      Optional<String> impossible = least.isBelow(aims.caps());
      if (impossible.isPresent()) {
        return unsolved(SolverStatus.INFEASIBLE, impossible.get(), config, startNanos);
      }

      caps = least.caps(caps, aims.caps());
      if (next.warmStart().isEmpty() && caps.hasLoad()) {
        next = next.withWarmStart(least.placement());
      }
    }

    List<String> notes = new ArrayList<>();
    SolverOutcome outcome = null;
    for (Objective objective : aims.objectives()) {
      PlacementProblem stage = problem.withObjective(objective).withCaps(caps);
      SolverOutcome found = stage(stage, next, Optional.ofNullable(outcome));
      if (found.placement().isEmpty()) {
        return found;
      }

      watch.accept(caps);
      if (outcome != null) {
        notes.add(inWords(outcome, aims.objectives().get(notes.size())));
      }

      outcome = found;
      next = next.withWarmStart(found.placement().get());
      caps = capped(caps, objective, PlacementCost.of(problem.counts(), found.placement().get()));
    }

    double seconds = (System.nanoTime() - startNanos) / 1e9;
    String note =
        notes.isEmpty()
            ? outcome.note()
            : "after %s%s"
                .formatted(
                    String.join(" and ", notes),
                    outcome.note().isEmpty() ? "" : "; " + outcome.note());
    return new SolverOutcome(
        name(),
        outcome.status(),
        outcome.placement(),
        outcome.objective(),
        outcome.bound(),
        seconds,
        config.seed(),
        note);
  }

  private Duration share(SolverConfig config) {
    Duration share = config.timeLimit().dividedBy(LOAD_SHARE);
    return share.compareTo(Duration.ofMillis(1)) < 0 ? Duration.ofMillis(1) : share;
  }

  /** One objective: the best of the solver's answer and what names alone give. */
  private SolverOutcome stage(
      PlacementProblem problem, SolverConfig config, Optional<SolverOutcome> before) {
    long startNanos = System.nanoTime();
    SolverOutcome found =
        OWN.contains(solver.name()) && TotalsSearch.knows(problem) && problem.isFeasible()
            ? TotalsSearch.solve(name(), problem, config, begin(problem, config))
            : solver.solve(problem, config);
    Optional<Placement> start =
        before.isPresent()
            ? before.get().placement()
            : config.warmStart().filter(warm -> found.status() == SolverStatus.UNKNOWN);
    if (found.placement().isEmpty() && start.filter(problem::isMetBy).isEmpty()) {
      return found;
    }

    Optional<Placement> best = Optional.empty();
    List<Placement> candidates = new ArrayList<>();
    start.filter(problem::isMetBy).ifPresent(candidates::add);
    found.placement().ifPresent(candidates::add);
    for (Placement candidate : candidates) {
      best = Optional.of(better(problem, best, renamed(problem, candidate)));
    }

    long objective = total(problem, best.orElseThrow());
    long bound = found.placement().isPresent() ? Math.min(found.bound(), objective) : 0;
    String note =
        found.placement().isPresent()
            ? found.note()
            : "the plan that it began with, as %s".formatted(found.note());
    if (bound < objective && !boundLimit.isZero()) {
      long reached = objective;
      ProvenBound proven =
          ProvenBound.of(
              problem,
              reached,
              least(boundLimit, config.timeLimit().dividedBy(2)),
              config.threads(),
              config.isStopped(),
              value ->
                  config
                      .progress()
                      .accept(
                          new SolverProgress(
                              "bound", reached, value, (System.nanoTime() - startNanos) / 1e9)));
      if (proven.value() > bound) {
        bound = proven.value();
        note +=
            String.format(
                Locale.ROOT,
                "%sbound by %s in %.1f s",
                note.isEmpty() ? "" : "; ",
                proven.method(),
                proven.seconds());
      }
    }

    return new SolverOutcome(
        name(),
        bound == objective ? SolverStatus.OPTIMAL : SolverStatus.FEASIBLE,
        best,
        objective,
        bound,
        (System.nanoTime() - startNanos) / 1e9,
        config.seed(),
        note);
  }

  /** A placement within the slots and, if one is known, within the caps on load. */
  private static Placement begin(PlacementProblem problem, SolverConfig config) {
    return config
        .warmStart()
        .orElseGet(() -> new Placement(problem.topology(), Starts.vanilla(problem)));
  }

  private static Duration least(Duration one, Duration other) {
    return one.compareTo(other) < 0 ? one : other;
  }

  /** With other names of GPUs, if that is worth it and costs nothing. */
  private Placement renamed(PlacementProblem problem, Placement placement) {
    if (!renames) {
      return placement;
    }

    return Relabel.of(problem.counts().transitions(), placement)
        .filter(other -> hops(problem, other) < hops(problem, placement))
        .filter(problem::isMetBy)
        .orElse(placement);
  }

  private static Placement better(
      PlacementProblem problem, Optional<Placement> best, Placement candidate) {
    if (best.isEmpty()) {
      return candidate;
    }

    long change = total(problem, candidate) - total(problem, best.get());
    boolean wins =
        change < 0 || change == 0 && hops(problem, candidate) < hops(problem, best.get());
    return wins ? candidate : best.get();
  }

  private static long hops(PlacementProblem problem, Placement placement) {
    return PlacementCost.of(problem.counts(), placement).hops();
  }

  private static long total(PlacementProblem problem, Placement placement) {
    return problem.objective().total(PlacementCost.of(problem.counts(), placement));
  }

  /** The caps with one at the value of an objective; load is capped in each layer. */
  private Caps capped(Caps caps, Objective objective, PlacementCost cost) {
    if (objective != Objective.LOAD) {
      return caps.withTotal(
          objective, Math.min(caps.total(objective), raised(objective.total(cost))));
    }

    long[] load = new long[cost.shape().layers()];
    for (int layer = 0; layer < load.length; layer++) {
      load[layer] = Math.min(caps.load(layer), raised(cost.loads().hottest(layer)));
    }

    return caps.withLoad(load);
  }

  private long raised(long value) {
    return (long) Math.floor(value * (1 + aims.slack()) + 1e-9);
  }

  private static String inWords(SolverOutcome outcome, Objective objective) {
    return String.format(
        Locale.ROOT,
        "%s %d (bound %d, gap %.1f %%)",
        objective.word(),
        outcome.objective(),
        outcome.bound(),
        100 * outcome.gap());
  }

  private SolverOutcome unsolved(
      SolverStatus status, String note, SolverConfig config, long startNanos) {
    return new SolverOutcome(
        name(),
        status,
        Optional.empty(),
        0,
        0,
        (System.nanoTime() - startNanos) / 1e9,
        config.seed(),
        note);
  }

  /** The least load of each layer that is known, and a placement that has it. */
  private record LeastLoad(PlacementProblem problem, Placement placement, PlacementCost cost) {
    /** From the solver itself if it does load, otherwise from those that do, layer by layer. */
    static LeastLoad of(PlacementProblem problem, SolverConfig config, PlacementSolver solver) {
      PlacementProblem load = problem.withObjective(Objective.LOAD).withCaps(Caps.NONE);
      SolverConfig silent = config.withProgress(step -> {});
      int[][] best = new GreedyLoadSolver().solve(load, silent).placement().orElseThrow().toArray();
      Chain chain = Chain.of(load);
      Optional<Placement> found = solver.solve(load, silent).placement();
      for (int layer = 0; found.isPresent() && layer < best.length; layer++) {
        int[] other = found.get().toArray()[layer];
        if (chain.hottest(layer, other) < chain.hottest(layer, best[layer])) {
          best[layer] = other;
        }
      }

      Placement placement = new Placement(problem.topology(), best);
      return new LeastLoad(problem, placement, PlacementCost.of(problem.counts(), placement));
    }

    /** The first layer that no placement can bring under a limit, with the numbers. */
    Optional<String> isBelow(Aims.Limits limits) {
      Chain chain = Chain.of(problem.withObjective(Objective.LOAD).withCaps(Caps.NONE));
      for (int layer = 0; limits.loadOverMean().isPresent() && layer < chain.layers(); layer++) {
        long cap = overMean(layer, limits.loadOverMean().getAsDouble());
        long bound = LayerBound.hottest(chain, layer);
        if (bound > cap) {
          return Optional.of(
              "layer %d may have %d choices on a GPU, no placement has fewer than %d on its hottest"
                  .formatted(layer, cap, bound));
        }
      }

      return Optional.empty();
    }

    private long overMean(int layer, double ratio) {
      long sum = 0;
      for (int gpu = 0; gpu < cost.loads().gpus(); gpu++) {
        sum += cost.loads().choices(layer, gpu);
      }

      return (long) Math.floor(ratio * sum / cost.loads().gpus() + 1e-9);
    }

    /** Some caps, with the limits. */
    Caps caps(Caps caps, Aims.Limits limits) {
      Caps all = caps;
      if (limits.load().isPresent() || limits.loadOverMean().isPresent()) {
        long[] load = new long[cost.shape().layers()];
        for (int layer = 0; layer < load.length; layer++) {
          load[layer] = caps.load(layer);
          if (limits.load().isPresent()) {
            double most = limits.load().getAsDouble() * cost.loads().hottest(layer);
            load[layer] = Math.min(load[layer], (long) Math.floor(most + 1e-9));
          }

          if (limits.loadOverMean().isPresent()) {
            long most = overMean(layer, limits.loadOverMean().getAsDouble());
            load[layer] = Math.min(load[layer], most);
          }
        }

        all = all.withLoad(load);
      }

      long tokens = cost.tokens();
      if (limits.hops().isPresent()) {
        all = all.withTotal(Objective.HOPS, total(limits.hops().getAsDouble(), tokens));
      }

      return limits.fanout().isPresent()
          ? all.withTotal(
              Objective.FANOUT,
              total(limits.fanout().getAsDouble(), tokens * cost.shape().layers()))
          : all;
    }

    private static long total(double mean, long count) {
      return (long) Math.floor(mean * count + 1e-6);
    }
  }
}
