package io.expertatlas.placement.solver;

import io.expertatlas.placement.Placement;
import java.util.Objects;
import java.util.Optional;

/**
 * What a solver found.
 *
 * @param solver the solver's name
 * @param status how it ended
 * @param placement the best placement, present exactly if the status has one
 * @param objective its objective, a total over all tokens; 0 without a placement
 * @param bound no placement has a smaller objective
 * @param seconds it took
 * @param seed of everything random in it
 * @param note what else the reader should know: why this solver, why no proof; may be empty
 */
public record SolverOutcome(
    String solver,
    SolverStatus status,
    Optional<Placement> placement,
    long objective,
    long bound,
    double seconds,
    long seed,
    String note) {
  /**
   * Checks that the parts fit each other.
   *
   * @throws IllegalArgumentException if a placement is missing or one too many, or the bound is
   *     above the objective
   */
  public SolverOutcome {
    Objects.requireNonNull(solver, "solver is null");
    Objects.requireNonNull(note, "note is null");
    if (placement.isPresent() != status.hasPlacement()) {
      throw new IllegalArgumentException(
          "Invalid outcome of %s: status %s %s a placement"
              .formatted(solver, status.word(), placement.isPresent() ? "with" : "without"));
    }

    if (placement.isPresent() && bound > objective) {
      throw new IllegalArgumentException(
          "Invalid outcome of %s: bound %d above objective %d".formatted(solver, bound, objective));
    }
  }

  /** {@code (objective - bound) / objective}: 0 if optimal, 1 if nothing is known. */
  public double gap() {
    return objective == 0 ? 0 : (objective - bound) / (double) objective;
  }

  /** The same outcome under another name and note. */
  public SolverOutcome as(String name, String otherNote) {
    return new SolverOutcome(name, status, placement, objective, bound, seconds, seed, otherNote);
  }
}
