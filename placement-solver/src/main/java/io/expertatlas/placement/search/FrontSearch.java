package io.expertatlas.placement.search;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Consumer;

/**
 * The placements of a front: one objective minimised under caps on another, from the tightest to
 * none. A placement within one cap is within every looser one, so each solve starts from the one
 * before it and is never worse.
 */
public final class FrontSearch {
  private final PlacementSolver solver;
  private final Duration boundLimit;

  /**
   * Searches with a solver.
   *
   * @param boundLimit time for the bound of each placement
   */
  public FrontSearch(PlacementSolver solver, Duration boundLimit) {
    this.solver = solver;
    this.boundLimit = boundLimit;
  }

  /**
   * A placement under a cap.
   *
   * @param cap times the least value known, {@code Double.POSITIVE_INFINITY} for none
   * @param outcome the placement with its objective and bound
   */
  public record Capped(double cap, SolverOutcome outcome) {}

  /**
   * Solves under each cap.
   *
   * @param problem its objective is minimised
   * @param capped another objective; load is capped in each layer, others in all
   * @param caps ascending, times the least value known, at least 1, or infinite
   * @param config its time limit is for each solve
   * @param each told of each placement as it is found; bounds may rise later
   * @throws IllegalStateException if a solve finds no placement, with the reason
   */
  public List<Capped> run(
      PlacementProblem problem,
      Objective capped,
      List<Double> caps,
      SolverConfig config,
      Consumer<Capped> each) {
    Optional<SolverOutcome> least = Optional.empty();
    if (capped != Objective.LOAD && caps.stream().anyMatch(Double::isFinite)) {
      Aims alone = new Aims(List.of(capped), 0, Aims.Limits.NONE);
      least = Optional.of(solved(problem.withObjective(capped), alone, config, "without a cap"));
    }

    SolverConfig next =
        least.flatMap(SolverOutcome::placement).map(config::withWarmStart).orElse(config);
    List<Capped> found = new ArrayList<>();
    for (double cap : caps) {
      PlacementProblem within = problem;
      Aims.Limits limits = Aims.Limits.NONE;
      if (Double.isFinite(cap) && capped == Objective.LOAD) {
        limits =
            new Aims.Limits(
                OptionalDouble.of(cap),
                OptionalDouble.empty(),
                OptionalDouble.empty(),
                OptionalDouble.empty());
      } else if (Double.isFinite(cap)) {
        long most = (long) Math.floor(cap * least.orElseThrow().objective() + 1e-9);
        within = problem.withCaps(problem.caps().withTotal(capped, most));
      }

      Aims aims = new Aims(List.of(problem.objective()), 0, limits);
      SolverOutcome outcome =
          solved(within, aims, next, "within %s times the least %s".formatted(cap, capped.word()));
      if (!found.isEmpty()) {
        outcome = better(problem, outcome, found.get(found.size() - 1).outcome());
      }

      found.add(new Capped(cap, outcome));
      each.accept(found.get(found.size() - 1));
      next = next.withWarmStart(outcome.placement().orElseThrow());
    }

    // what is proven under a loose cap holds under every tighter one
    for (int at = found.size() - 2; at >= 0; at--) {
      Capped one = found.get(at);
      long bound = found.get(at + 1).outcome().bound();
      if (bound > one.outcome().bound()) {
        found.set(at, new Capped(one.cap(), raised(one.outcome(), bound)));
      }
    }

    return found;
  }

  private static SolverOutcome raised(SolverOutcome outcome, long bound) {
    return new SolverOutcome(
        outcome.solver(),
        bound >= outcome.objective() ? SolverStatus.OPTIMAL : outcome.status(),
        outcome.placement(),
        outcome.objective(),
        Math.min(bound, outcome.objective()),
        outcome.seconds(),
        outcome.seed(),
        outcome.note());
  }

  private SolverOutcome solved(
      PlacementProblem problem, Aims aims, SolverConfig config, String cap) {
    SolverOutcome outcome =
        new AimedSolver(solver, aims, boundLimit, true, caps -> {}).solve(problem, config);
    if (outcome.placement().isEmpty()) {
      throw new IllegalStateException(
          "Cannot place for %s, %s: %s, %s"
              .formatted(problem.objective().word(), cap, outcome.status().word(), outcome.note()));
    }

    return outcome;
  }

  /** The outcome, with the placement before it if that is no worse and has less of the other. */
  private static SolverOutcome better(
      PlacementProblem problem, SolverOutcome outcome, SolverOutcome before) {
    if (before.objective() >= outcome.objective()) {
      return outcome;
    }

    return new SolverOutcome(
        outcome.solver(),
        before.objective() == outcome.bound() ? before.status() : outcome.status(),
        before.placement(),
        before.objective(),
        Math.min(outcome.bound(), before.objective()),
        outcome.seconds(),
        outcome.seed(),
        "the placement of a tighter cap");
  }
}
