package io.expertatlas.placement.cli;

import io.expertatlas.placement.solver.BenchmarkSummary;
import io.expertatlas.placement.solver.BenchmarkSummary.Instance;
import io.expertatlas.placement.solver.BenchmarkSummary.Solver;
import java.util.Locale;

/** A benchmark as a table in text. */
final class BenchmarkTable {
  private BenchmarkTable() {}

  static String of(BenchmarkSummary summary) {
    int width = 6;
    for (Instance instance : summary.instances()) {
      for (Solver solver : instance.solvers()) {
        width = Math.max(width, solver.name().length());
      }
    }

    String form = "  %-" + width + "s";
    StringBuilder text = new StringBuilder();
    for (Instance instance : summary.instances()) {
      text.append(
          String.format(
              Locale.ROOT,
              "%s: best %.4f a token, bound %.4f%s, gap %.1f %%%n",
              instance.words(),
              instance.best(),
              instance.bound(),
              instance.proofInWords(),
              100 * instance.gap()));
      text.append(
          (form + " %6s  %9s %9s %7s %9s %9s  %8s %7s %8s  %9s %9s%n")
              .formatted(
                  "solver",
                  "solved",
                  "median",
                  "over best",
                  "gap",
                  "worst",
                  "held out",
                  "GPUs/tok",
                  "load",
                  "held out",
                  "seconds",
                  "to 1 %"));
      instance.solvers().forEach(solver -> row(text, form, instance, solver));
    }

    return text.toString();
  }

  private static void row(StringBuilder text, String form, Instance instance, Solver solver) {
    String solved = solver.solved() + "/" + solver.runs();
    if (solver.solved() == 0) {
      text.append(
          (form + " %6s  %s: %s%n")
              .formatted(
                  solver.name(),
                  solved,
                  solver.typical().status().word(),
                  solver.typical().note()));
      return;
    }

    text.append(
        String.format(
            Locale.ROOT,
            form + " %6s  %9.4f %7.2f %% %5.1f %% %9.4f %9s  %8.4f %7.4f %8.4f  %9.2f %9s%n",
            solver.name(),
            solved,
            solver.value(),
            instance.best() == 0 ? 0 : 100 * (solver.value() / instance.best() - 1),
            100 * instance.gap(solver.value()),
            solver.worst(),
            solver.heldOut().isPresent()
                ? String.format(Locale.ROOT, "%.4f", solver.heldOut().getAsDouble())
                : "-",
            solver.gpusPerToken(),
            solver.loadMean(),
            solver.loadHeldOut(),
            solver.seconds(),
            Double.isInfinite(solver.secondsToOnePercent())
                ? "-"
                : String.format(Locale.ROOT, "%.2f", solver.secondsToOnePercent())));
  }
}
