package io.expertatlas.placement.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.report.HtmlReport;
import io.expertatlas.affinity.report.HtmlReport.Fact;
import io.expertatlas.placement.solver.BenchmarkRun;
import io.expertatlas.placement.solver.BenchmarkSummary;
import io.expertatlas.placement.solver.BenchmarkSummary.Instance;
import io.expertatlas.placement.solver.BenchmarkSummary.Solver;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The page of {@code benchmark-placement}: solvers side by side on each instance. */
public final class BenchmarkReport {
  /** What the logarithmic axis of time begins with. */
  private static final double FIRST_MOMENT = 1e-3;

  private BenchmarkReport() {}

  /**
   * Builds the page.
   *
   * @param machine what it ran on, in words
   */
  public static HtmlReport of(BenchmarkSummary summary, String machine) {
    HtmlReport page =
        HtmlReport.titled(
            "Placement solvers compared",
            "Medians over the seeds, on %s. All values are means of a token.".formatted(machine));
    int runs = 0;
    for (Instance instance : summary.instances()) {
      for (Solver solver : instance.solvers()) {
        runs += solver.runs();
      }
    }

    page.facts(
        List.of(
            new Fact("Instances", Integer.toString(summary.instances().size())),
            new Fact("Solves", Integer.toString(runs))));
    int number = 0;
    for (Instance instance : summary.instances()) {
      section(page, instance, ++number);
    }

    return page;
  }

  private static void section(HtmlReport page, Instance instance, int number) {
    boolean heldOut = instance.solvers().stream().anyMatch(one -> one.heldOut().isPresent());
    page.section(
        instance.words(),
        String.format(
            Locale.ROOT,
            "Fitted on %,d tokens. Best %.4f; no placement is below %.4f%s, a gap of %.1f %%.",
            instance.tokens(),
            instance.best(),
            instance.bound(),
            instance.proofInWords(),
            100 * instance.gap()));
    List<Solver> timed =
        instance.solvers().stream().filter(one -> !one.typical().points().isEmpty()).toList();
    if (!timed.isEmpty()) {
      page.plot(
          "time-" + number,
          "Best objective so far over the seconds of the solve, the seed with the median result.",
          340,
          overTime(timed));
    }

    List<Solver> solved = instance.solvers().stream().filter(one -> one.solved() > 0).toList();
    if (!solved.isEmpty()) {
      page.plot(
          "cost-" + number,
          heldOut
              ? "Objective on the tokens fitted, and on those held out."
              : "Objective on the tokens fitted.",
          90 + 46 * solved.size(),
          bars(solved, heldOut));
    }

    List<String> header =
        new ArrayList<>(List.of("Solver", "Solved", "Median", "Over best", "Gap", "Worst seed"));
    if (heldOut) {
      header.add("Held out");
    }

    header.addAll(List.of("GPUs / layer", "Load"));
    if (heldOut) {
      header.add("Load held out");
    }

    header.addAll(List.of("Seconds", "to 1 %"));
    page.table(
        "Gap: from the median to the bound. Seconds to 1 %: until the objective was within 1 % of the"
            + " best of this instance.",
        header, instance.solvers().stream().map(one -> row(instance, one, heldOut)).toList());
  }

  private static List<String> row(Instance instance, Solver solver, boolean heldOut) {
    List<String> row =
        new ArrayList<>(List.of(solver.name(), solver.solved() + "/" + solver.runs()));
    boolean any = solver.solved() > 0;
    row.add(any ? fixed(solver.value(), 4) : "");
    row.add(
        any && instance.best() > 0
            ? fixed(100 * (solver.value() / instance.best() - 1), 2) + " %"
            : "");
    row.add(any ? fixed(100 * instance.gap(solver.value()), 1) + " %" : "");
    row.add(any ? fixed(solver.worst(), 4) : "");
    if (heldOut) {
      row.add(solver.heldOut().isPresent() ? fixed(solver.heldOut().getAsDouble(), 4) : "");
    }

    row.add(any ? fixed(solver.gpusPerToken(), 3) : "");
    row.add(any ? fixed(solver.loadMean(), 3) : "");
    if (heldOut) {
      row.add(any ? fixed(solver.loadHeldOut(), 3) : "");
    }

    row.add(any ? fixed(solver.seconds(), 2) : "");
    row.add(
        Double.isInfinite(solver.secondsToOnePercent())
            ? ""
            : fixed(solver.secondsToOnePercent(), 2));
    return row;
  }

  private static ObjectNode overTime(List<Solver> solvers) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option
        .putObject("tooltip")
        .put("trigger", "item")
        .put("formatter", "@{seriesName}\n{value.1:f3} after {value.0:f2} s");
    option.putObject("legend").put("top", 0).put("type", "scroll");
    option.putObject("grid").put("left", 66).put("right", 20).put("top", 40).put("bottom", 50);
    ObjectNode x = option.putObject("xAxis").put("type", "log").put("name", "Seconds");
    x.put("nameLocation", "middle").put("nameGap", 30);
    ObjectNode y = option.putObject("yAxis").put("type", "value").put("scale", true);
    y.put("name", "Objective a token").put("nameLocation", "middle").put("nameGap", 48);
    ArrayNode series = option.putArray("series");
    for (int i = 0; i < solvers.size(); i++) {
      BenchmarkRun run = solvers.get(i).typical();
      ObjectNode one = series.addObject().put("type", "line").put("name", solvers.get(i).name());
      one.put("step", "end").put("symbolSize", 5);
      one.putObject("lineStyle").put("color", "$series." + i % 8);
      one.putObject("itemStyle").put("color", "$series." + i % 8);
      ArrayNode data = one.putArray("data");
      for (BenchmarkRun.Point point : run.points()) {
        data.addArray().add(Math.max(FIRST_MOMENT, point.seconds())).add(point.value());
      }

      data.addArray().add(Math.max(FIRST_MOMENT, run.seconds())).add(run.value());
    }

    return option;
  }

  private static ObjectNode bars(List<Solver> solvers, boolean heldOut) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put("formatter", "@{name}\n{marker}{seriesName}: <b>{value:f3}</b> a token")
        .putObject("axisPointer")
        .put("type", "shadow");
    option.putObject("grid").put("left", 190).put("right", 70).put("top", 34).put("bottom", 30);
    option.putObject("legend").put("top", 0).put("right", 16).put("show", heldOut);
    option.putObject("xAxis").put("type", "value").put("min", 0);
    ObjectNode y = option.putObject("yAxis").put("type", "category").put("inverse", true);
    ArrayNode names = y.putArray("data");
    solvers.forEach(solver -> names.add(solver.name()));
    ArrayNode series = option.putArray("series");
    ArrayNode fitted = bar(series, "Fitted", "$series.0");
    solvers.forEach(solver -> fitted.add(solver.value()));
    if (heldOut) {
      ArrayNode held = bar(series, "Held out", "$series.1");
      solvers.forEach(solver -> held.add(solver.heldOut().orElse(0)));
    }

    return option;
  }

  private static ArrayNode bar(ArrayNode series, String name, String color) {
    ObjectNode bar = series.addObject().put("type", "bar").put("name", name).put("barMaxWidth", 16);
    bar.putObject("itemStyle").put("color", color);
    ObjectNode label = bar.putObject("label").put("show", true).put("position", "right");
    label.put("color", "$ink").put("formatter", "@{value:f2}");
    return bar.putArray("data");
  }

  private static String fixed(double value, int decimals) {
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }
}
