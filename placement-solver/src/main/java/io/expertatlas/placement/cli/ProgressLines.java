package io.expertatlas.placement.cli;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.solver.SolverProgress;
import java.io.PrintWriter;

/** Solver progress as lines of text, at most two a second for each step. Safe for threads. */
final class ProgressLines {
  private static final double SECONDS_BETWEEN = 0.5;

  private final PrintWriter err;
  private final double tokens;
  private final Objective objective;
  private String step = "";
  private double shown;

  ProgressLines(PrintWriter err, long tokens, Objective objective) {
    this.err = err;
    this.tokens = Math.max(1, tokens);
    this.objective = objective;
  }

  synchronized void show(SolverProgress progress) {
    if (progress.step().equals(step) && progress.seconds() < shown + SECONDS_BETWEEN) {
      return;
    }

    step = progress.step();
    shown = progress.seconds();
    err.printf(
        "  %s: %.4f %s a token, bound %.4f, gap %.1f %%, %.1f s%n",
        progress.step(),
        progress.objective() / tokens,
        objective.word(),
        progress.bound() / tokens,
        progress.objective() == 0
            ? 0.0
            : 100.0 * (progress.objective() - progress.bound()) / progress.objective(),
        progress.seconds());
    err.flush();
  }
}
