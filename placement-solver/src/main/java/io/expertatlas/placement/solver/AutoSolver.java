package io.expertatlas.placement.solver;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Picks for itself: the exact dynamic program where the partitions of a layer are few; otherwise
 * bisection, then sweeps from there, then the pair program on all GPUs from there. The note says
 * what it did and why.
 */
public final class AutoSolver implements PlacementSolver {
  @Override
  public String name() {
    return "auto";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(name(), problem, config, run -> solve(run, config));
  }

  private SolverOutcome solve(SolverRun run, SolverConfig config) {
    SolverOutcome exact = part(run, "viterbi", config, 0.5);
    if (exact.status() == SolverStatus.OPTIMAL) {
      return exact.as(name(), "viterbi, " + exact.note());
    }

    List<String> steps = new ArrayList<>();
    steps.add("no viterbi: " + exact.note());
    Best best = new Best();
    best.offer(part(run, "sweep", best.warm(config), 0.2), steps);
    best.offer(part(run, "bipart", config, 0.4), steps);
    best.offer(part(run, "sweep", best.warm(config), 0.4), steps);
    if (best.gapIsOpen()) {
      best.offer(part(run, "direct", best.warm(config), 1), steps);
    }

    return best.outcome(run, String.join("; ", steps));
  }

  /** Runs another solver for a share of the time that is left. */
  private static SolverOutcome part(
      SolverRun run, String solver, SolverConfig config, double share) {
    long nanos = Math.max(1_000_000, (long) (run.secondsLeft() * share * 1e9));
    return PlacementSolvers.find(solver)
        .solve(run.problem(), config.withTimeLimit(Duration.ofNanos(nanos)));
  }

  /** The best placement and the best bound of several outcomes. */
  private static final class Best {
    private final List<SolverOutcome> outcomes = new ArrayList<>();
    private long bound;

    void offer(SolverOutcome outcome, List<String> steps) {
      bound = Math.max(bound, outcome.bound());
      if (outcome.placement().isPresent()) {
        if (outcomes.isEmpty() || outcome.objective() < outcomes.get(0).objective()) {
          outcomes.add(0, outcome);
        }

        steps.add("%s %d".formatted(outcome.solver(), outcome.objective()));
      } else {
        steps.add("no %s: %s".formatted(outcome.solver(), outcome.note()));
      }
    }

    boolean gapIsOpen() {
      return outcomes.isEmpty() || outcomes.get(0).objective() > bound;
    }

    SolverConfig warm(SolverConfig config) {
      return outcomes.isEmpty()
          ? config
          : config.withWarmStart(outcomes.get(0).placement().orElseThrow());
    }

    SolverOutcome outcome(SolverRun run, String note) {
      if (outcomes.isEmpty()) {
        return run.unsolved(SolverStatus.UNKNOWN, note);
      }

      Placement placement = outcomes.get(0).placement().orElseThrow();
      return run.solved(placement.toArray(), bound, note);
    }
  }
}
