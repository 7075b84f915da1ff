package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.json.FrontParser;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementDocument.InSample;
import io.expertatlas.placement.json.PlacementDocument.Source;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.placement.report.FrontPage;
import io.expertatlas.placement.search.FrontSearch;
import io.expertatlas.placement.search.FrontSearch.Capped;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.Front;
import io.expertatlas.placement.solver.Front.Costs;
import io.expertatlas.placement.solver.Front.Point;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.trace.files.OutputFolder;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import picocli.CommandLine.Model.CommandSpec;

/** {@code place --pareto}: solves under each cap, writes the placements, the table and a page. */
final class FrontRun {
  private final CommandSpec spec;
  private final AimOptions options;
  private final PlacementProblem problem;
  private final Source source;
  private final Path output;

  private final boolean json;

  FrontRun(
      CommandSpec spec,
      AimOptions options,
      PlacementProblem problem,
      Source source,
      Path output,
      boolean json) {
    this.spec = spec;
    this.options = options;
    this.problem = problem;
    this.source = source;
    this.output = output;
    this.json = json;
  }

  void call(OutputFolder folder, PlacementSolver solver, Aims aims, SolverConfig config)
      throws IOException {
    List<Objective> both = options.frontObjectives(aims);
    List<Double> caps = options.frontCaps();
    PlacementProblem minimised = problem.withObjective(both.get(0));
    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        "Front of %s under %d caps on %s%n", both.get(0).word(), caps.size(), both.get(1).word());
    err.println(header());
    err.flush();
    int[] shown = {0};
    List<Capped> found =
        new FrontSearch(solver, options.boundLimit())
            .run(
                minimised,
                both.get(1),
                caps,
                config.withProgress(step -> {}),
                each -> {
                  shown[0]++;
                  err.println(row(point(each, shown[0], minimised), both.get(0)));
                  err.flush();
                });
    List<Point> points = new ArrayList<>();
    for (Capped each : found) {
      points.add(point(each, points.size() + 1, minimised));
    }

    Front front = new Front(name(), both.get(0), both.get(1), vanilla(), points).withoutBeaten();
    Set<String> kept =
        front.points().stream().map(Point::file).collect(Collectors.toCollection(HashSet::new));
    folder.write(
        aside -> {
          for (int i = 0; i < points.size(); i++) {
            if (kept.contains(points.get(i).file())) {
              Files.writeString(
                  aside.resolve(points.get(i).file()),
                  PlacementParser.toJson(document(found.get(i), minimised)));
            }
          }

          Files.writeString(
              aside.resolve("front.json"), FrontParser.toJson(front).toPrettyString() + "\n");
          FrontPage.of(List.of(front)).write(aside.resolve("front.html"));
        });
    err.printf(
        "%d of %d placements are on the front, %d are beaten by others; open %s in a browser%n",
        kept.size(), points.size(), points.size() - kept.size(), output.resolve("front.html"));
    err.flush();
    if (json) {
      ObjectNode node = FrontParser.toJson(front);
      node.put("output", output.toString());
      node.put("seed", config.seed());
      spec.commandLine().getOut().println(node);
      spec.commandLine().getOut().flush();
    }
  }

  private String name() {
    return "%s on %s GPUs"
        .formatted(source.affinity().get(source.affinity().size() - 1), problem.topology());
  }

  private Costs vanilla() throws IOException {
    Placement vanilla =
        new PlacementInput("", PlacementInput.VANILLA)
            .read(
                problem.shape(),
                problem.topology(),
                0,
                new PlacementInput.Reading(Optional.empty(), Optional.empty()));
    return Costs.of(PlacementCost.of(problem.counts(), vanilla));
  }

  private static Point point(Capped capped, int number, PlacementProblem problem) {
    PlacementCost cost =
        PlacementCost.of(problem.counts(), capped.outcome().placement().orElseThrow());
    Costs costs = Costs.of(cost);
    double total = capped.outcome().objective();
    double mean = costs.of(problem.objective());
    return new Point(
        capped.cap(),
        costs,
        total == 0 ? 0 : mean * (capped.outcome().bound() / total),
        capped.outcome().seconds(),
        "point-%d.json".formatted(number));
  }

  private PlacementDocument document(Capped capped, PlacementProblem minimised) {
    PlacementCost cost =
        PlacementCost.of(minimised.counts(), capped.outcome().placement().orElseThrow());
    return new PlacementDocument(
        minimised.shape(), minimised.objective(), capped.outcome(), InSample.of(cost), source);
  }

  private static String header() {
    return "%6s %10s %10s %7s %9s %9s %7s %7s %8s"
        .formatted(
            "cap", "hops", "bound", "gap", "GPUs/tok", "nodes/tok", "load", "worst", "seconds");
  }

  private static String row(Point point, Objective minimised) {
    double value = point.costs().of(minimised);
    return String.format(
        Locale.ROOT,
        "%6s %10.4f %10.4f %5.1f %% %9.4f %9.4f %7.4f %7.4f %8.1f",
        point.capInWords(),
        point.costs().hops(),
        point.bound(),
        value == 0 ? 0 : 100 * (value - point.bound()) / value,
        point.costs().gpus(),
        point.costs().nodes(),
        point.costs().load(),
        point.costs().worstLoad(),
        point.seconds());
  }
}
