package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.cli.MoveOptions.Terms;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * Replays a trace window by window and asks after each whether to move experts for the next, as a
 * serving engine could: nothing is known of a window before it has passed.
 */
@Command(
    name = "place-windows",
    description =
        "Changes the placement from window to window of a trace where that pays; what it gains, and"
            + " how many experts move.",
    mixinStandardHelpOptions = true)
final class WindowsCommand implements Callable<Integer> {
  private static final String FILE = "windows.json";
  private static final Pattern FILES = Pattern.compile("windows\\.json|window-\\d+\\.csv");

  @Spec private CommandSpec spec;
  @Mixin private TraceOptions trace;
  @Mixin private TopologyOptions cluster;
  @Mixin private ModelOptions model;
  @Mixin private MoveOptions move;

  @Option(
      names = "--window",
      required = true,
      paramLabel = "N",
      description = "Selected tokens of a window.")
  private int window;

  @Option(
      names = "--history",
      defaultValue = "1",
      paramLabel = "W",
      description = "Windows that each decision looks back on (default: ${DEFAULT-VALUE}).")
  private int history;

  @Option(
      names = "--min-gains",
      split = ",",
      defaultValue = "0.01,0,0.05,0.2",
      paramLabel = "G",
      description =
          "A policy for each: move if that saves this share of all bytes over the horizon. The"
              + " placements of the first are written (default: ${DEFAULT-VALUE}).")
  private List<Double> minGains;

  @Option(
      names = "--solver",
      defaultValue = "auto",
      converter = SolverConverter.class,
      paramLabel = "S",
      description = "Of the placement that each window would like (default: ${DEFAULT-VALUE}).")
  private PlacementSolver solver;

  @Option(
      names = "--time-limit",
      defaultValue = "5s",
      converter = DurationConverter.class,
      paramLabel = "T",
      description =
          "Of each window's solve, and once more of each policy's moves (default:"
              + " ${DEFAULT-VALUE}).")
  private Duration timeLimit;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Of everything random (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--threads",
      defaultValue = "1",
      paramLabel = "T",
      description = "Worker threads (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(names = "--overwrite", description = "Replace the output folder if it exists.")
  private boolean overwrite;

  @Option(names = "--json", description = "Print windows.json to stdout.")
  private boolean json;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "D",
      description = "Folder to write: windows.json, and window-K.csv with the plan of window K.")
  private Path output;

  @Override
  public Integer call() throws IOException {
    Topology topology = cluster.topology(spec);
    check();
    Terms base = move.terms(model.file(), window);
    OutputFolder folder = new OutputFolder(output, overwrite, "folder of windows", FILES);
    folder.check();
    List<WindowPolicy> policies = new ArrayList<>();
    for (double gain : minGains) {
      policies.add(
          new WindowPolicy(
              String.format(Locale.ROOT, "follow, gain %.3g", gain),
              Optional.of(
                  new Terms(
                      base.horizon(), base.expertBytes(), base.hopBytes(), gain, base.staging()))));
    }

    WindowPolicy stay = new WindowPolicy("stay", Optional.empty());
    WindowPolicy own = new WindowPolicy("own: knows the window", Optional.empty());
    List<Placement> plans = new ArrayList<>(); // of the first policy, from the second window on
    long tokens = follow(topology, policies, stay, own, plans);
    if (tokens == 0) {
      throw new TraceFormatException(
          "Cannot follow windows of %d tokens in %s: it has fewer than two. Maybe take a shorter --window"
              .formatted(window, trace.source().path()));
    }

    List<WindowPolicy> all = new ArrayList<>(policies);
    all.add(0, stay);
    all.add(own);
    WindowsReport report = new WindowsReport(all, base, tokens, window, history, seed);
    ObjectNode node = report.node();
    folder.write(
        aside -> {
          Files.writeString(aside.resolve(FILE), node.toPrettyString() + "\n");
          for (int i = 0; i < plans.size(); i++) {
            ExFlowCsv.write(plans.get(i), aside.resolve("window-%d.csv".formatted(i + 1)));
          }
        });
    report.print(spec.commandLine().getErr());
    if (json) {
      spec.commandLine().getOut().println(node);
      spec.commandLine().getOut().flush();
    }

    return 0;
  }

  /**
   * Walks through the windows.
   *
   * @param own gets the plan that is best for each window, known or not
   * @param plans receives the first policy's plan for each window but the first
   * @return tokens of all windows but the first
   */
  private long follow(
      Topology topology,
      List<WindowPolicy> policies,
      WindowPolicy stay,
      WindowPolicy own,
      List<Placement> plans)
      throws IOException {
    long tokens = 0;
    try (TraceReader reader = trace.open();
        ProgressBar bar = Terminal.progress("windows", reader.tokens())) {
      Windows windows = new Windows(reader, window);
      ArrayDeque<RouteCounts> seen = new ArrayDeque<>();
      Optional<Placement> best = Optional.empty();
      List<Long> moves = new ArrayList<>();
      for (Optional<RouteCounts> next = windows.next(); next.isPresent(); next = windows.next()) {
        RouteCounts counts = next.get();
        boolean isFirst = best.isEmpty();
        if (!isFirst) {
          tokens += counts.tokens();
          plans.add(policies.get(0).plan());
          for (int i = 0; i < policies.size(); i++) {
            policies.get(i).score(counts, moves.get(i));
          }

          stay.score(counts, 0);
        }

        seen.add(counts);
        if (seen.size() > history) {
          seen.remove();
        }

        PlacementProblem problem =
            PlacementProblem.balanced(
                CountsMixture.sum(List.copyOf(seen)), topology, Objective.HOPS);
        if (!isFirst) {
          // what could be had at best: the window itself, all experts free to move
          own.follow(solved(problem.counts() == counts ? problem : like(problem, counts), best));
          own.score(counts, 0);
        }

        Placement wanted = solved(problem, best);
        best = Optional.of(wanted);
        moves.clear();
        for (WindowPolicy policy : policies) {
          Placement before = isFirst ? wanted : policy.plan();
          Moving moving =
              Moving.choose(problem, before, wanted, policy.terms().orElseThrow(), config());
          policy.follow(moving.chosen().placement());
          moves.add(moving.chosen().moved());
        }

        if (isFirst) {
          stay.follow(wanted);
        }

        bar.stepTo(windows.read());
      }
    }

    return tokens;
  }

  private void check() {
    if (window < 1) {
      throw usage("Invalid --window: %d tokens, at least 1".formatted(window));
    }

    if (history < 1) {
      throw usage("Invalid --history: %d windows, at least 1".formatted(history));
    }

    if (threads < 1) {
      throw usage("Invalid number of threads: %d, at least 1".formatted(threads));
    }

    if (minGains.stream().anyMatch(gain -> !(gain >= 0 && gain < 1))) {
      throw usage("Invalid --min-gains: %s, each 0 to below 1".formatted(minGains));
    }
  }

  private static PlacementProblem like(PlacementProblem problem, RouteCounts counts) {
    return PlacementProblem.balanced(counts, problem.topology(), problem.objective());
  }

  private SolverConfig config() {
    return SolverConfig.DEFAULT.withTimeLimit(timeLimit).withSeed(seed).withThreads(threads);
  }

  private Placement solved(PlacementProblem problem, Optional<Placement> start) {
    SolverConfig config = start.isEmpty() ? config() : config().withWarmStart(start.get());
    SolverOutcome outcome = solver.solve(problem, config);
    return outcome
        .placement()
        .orElseThrow(
            () ->
                new IllegalStateException(
                    "Cannot place with %s: %s, %s"
                        .formatted(outcome.solver(), outcome.status().word(), outcome.note())));
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
