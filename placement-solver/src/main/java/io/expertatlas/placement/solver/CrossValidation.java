package io.expertatlas.placement.solver;

import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Caps;
import io.expertatlas.placement.CountsShrinkage;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Chooses how strongly counts are shrunken: for each candidate and each fold of the sequences,
 * solves on the other folds and scores on this one. Every fold is scored by plans that never saw
 * it. All candidates of a fold start from one plan, found for the other folds as they are: searches
 * that start apart would differ by more than the strengths do.
 */
public final class CrossValidation {
  /** Strengths that are tried; 0 is the counts as they are. */
  public static final List<Double> STRENGTHS = List.of(0.0, 0.1, 0.2, 0.3, 0.5);

  /**
   * Costs this close to the best, relatively, are a tie, which the lesser strength wins: short
   * searches differ by as much.
   */
  private static final double TIE = 0.01;

  /** What a search of many experts needs; small problems are solved to the end well before. */
  private static final long LEAST_MILLIS = 1000;

  private CrossValidation() {}

  /**
   * A candidate and how it did.
   *
   * @param targets of the shrinkage, in order; empty for none
   * @param strength 0 for none
   * @param heldOut mean objective of a token of the folds, each scored when it was left out
   */
  public record Candidate(List<CountsShrinkage> targets, double strength, double heldOut) {
    /** Copies the list. */
    public Candidate {
      targets = List.copyOf(targets);
    }
  }

  /**
   * What was tried.
   *
   * @param candidates in the order in which they were tried
   * @param chosen one of them
   */
  public record Result(List<Candidate> candidates, Candidate chosen) {
    /** Copies the list. */
    public Result {
      candidates = List.copyOf(candidates);
    }
  }

  /**
   * Tries no shrinkage and each strength toward each of some lists of targets.
   *
   * @param folds at least two
   * @param like the problem whose counts are replaced: its caps are not used
   * @param config its time limit is for all of it, but each solve has a second at least
   * @param tried is told of each candidate that was scored
   * @throws IllegalArgumentException if there are fewer than two folds
   * @throws IllegalStateException if a solve gives no placement
   */
  public static Result choose(
      PlacementSolver solver,
      List<RouteCounts> folds,
      PlacementProblem like,
      List<List<CountsShrinkage>> targets,
      SolverConfig config,
      Consumer<Candidate> tried) {
    if (folds.size() < 2) {
      throw new IllegalArgumentException(
          "Cannot choose the shrinkage: %d folds with tokens, at least 2".formatted(folds.size()));
    }

    List<RouteCounts> others = new ArrayList<>(); // [fold] all but it
    for (int fold = 0; fold < folds.size(); fold++) {
      List<RouteCounts> rest = new ArrayList<>(folds);
      rest.remove(fold);
      others.add(CountsMixture.sum(rest));
    }

    List<Candidate> untried = new ArrayList<>(List.of(new Candidate(List.of(), 0, 0)));
    for (double strength : STRENGTHS) {
      for (List<CountsShrinkage> list : targets) {
        if (strength > 0) {
          untried.add(new Candidate(list, strength, 0));
        }
      }
    }

    long millis = config.timeLimit().toMillis() / ((untried.size() + 1L) * folds.size());
    SolverConfig each = config.withTimeLimit(Duration.ofMillis(Math.max(LEAST_MILLIS, millis)));
    List<Placement> starts = new ArrayList<>(); // [fold]
    for (RouteCounts seen : others) {
      starts.add(solved(solver, like(like, seen), each));
    }

    List<Candidate> scored = new ArrayList<>();
    for (Candidate candidate : untried) {
      double sum = 0;
      double tokens = 0;
      for (int fold = 0; fold < folds.size(); fold++) {
        RouteCounts seen =
            CountsShrinkage.shrink(others.get(fold), candidate.targets(), candidate.strength());
        Placement plan = solved(solver, like(like, seen), each.withWarmStart(starts.get(fold)));
        PlacementCost cost = PlacementCost.of(folds.get(fold), plan);
        sum += like.objective().total(cost);
        tokens += cost.tokens();
      }

      Candidate done = new Candidate(candidate.targets(), candidate.strength(), sum / tokens);
      scored.add(done);
      tried.accept(done);
    }

    return new Result(scored, chosen(scored));
  }

  private static PlacementProblem like(PlacementProblem problem, RouteCounts counts) {
    return new PlacementProblem(
        counts, problem.topology(), problem.objective(), problem.slots(), Caps.NONE);
  }

  private static Placement solved(
      PlacementSolver solver, PlacementProblem problem, SolverConfig config) {
    SolverOutcome outcome = solver.solve(problem, config);
    return outcome
        .placement()
        .orElseThrow(
            () ->
                new IllegalStateException(
                    "Cannot choose the shrinkage with %s: %s, %s"
                        .formatted(outcome.solver(), outcome.status().word(), outcome.note())));
  }

  /** The least strength among those as good as the best. */
  static Candidate chosen(List<Candidate> scored) {
    double best = scored.stream().mapToDouble(Candidate::heldOut).min().orElseThrow();
    return scored.stream() // strengths ascend
        .filter(candidate -> candidate.heldOut() <= best * (1 + TIE))
        .findFirst()
        .orElseThrow();
  }
}
