package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.cli.BenchmarkInput.Dataset;
import io.expertatlas.placement.json.BenchmarkBounds;
import io.expertatlas.placement.json.BenchmarkRuns;
import io.expertatlas.placement.report.BenchmarkReport;
import io.expertatlas.placement.search.AimedSolver;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.BenchmarkBound;
import io.expertatlas.placement.solver.BenchmarkRun;
import io.expertatlas.placement.solver.BenchmarkRun.Key;
import io.expertatlas.placement.solver.BenchmarkRun.Point;
import io.expertatlas.placement.solver.BenchmarkSummary;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Compares solvers: datasets x clusters x objectives x solvers x seeds. */
@Command(
    name = "benchmark-placement",
    description = "Compares solvers on datasets, clusters, objectives and seeds; table and page.",
    mixinStandardHelpOptions = true)
final class BenchmarkCommand implements Callable<Integer> {
  private static final String RUNS = "runs.jsonl";
  private static final String PAGE = "report.html";

  @Spec private CommandSpec spec;
  @Mixin private BenchmarkInput input;

  @Option(
      names = "--clusters",
      required = true,
      split = ",",
      converter = ClusterConverter.class,
      paramLabel = "NxG",
      description = "Nodes x GPUs of each, such as 1x4,2x4.")
  private List<Topology> clusters;

  @Option(
      names = "--objectives",
      split = ",",
      defaultValue = "hops",
      converter = ObjectiveConverter.class,
      paramLabel = "O",
      description = "hops, crossings, fanout, load (default: ${DEFAULT-VALUE}).")
  private List<Objective> objectives;

  @Option(
      names = "--max-load",
      paramLabel = "F",
      description =
          "Cap on the hottest GPU of each layer: F times the least load known for that layer, as"
              + " in place. A tenth of the time limit finds that load.")
  private Double maxLoad;

  @Option(
      names = "--solvers",
      split = ",",
      defaultValue = "auto",
      paramLabel = "S[@T]",
      description =
          "Names of solvers, each with its own time limit if wanted, such as"
              + " pool@10s,exflow-token@180s (default: ${DEFAULT-VALUE}).")
  private List<String> solvers;

  @Option(
      names = "--seeds",
      split = ",",
      defaultValue = "1,2,3,4,5",
      paramLabel = "N",
      description = "Each is a run (default: ${DEFAULT-VALUE}).")
  private List<Long> seeds;

  @Option(
      names = "--time-limit",
      defaultValue = "10s",
      converter = DurationConverter.class,
      paramLabel = "T",
      description = "Of solvers without their own (default: ${DEFAULT-VALUE}).")
  private Duration timeLimit;

  @Option(
      names = "--threads",
      defaultValue = "1",
      paramLabel = "N",
      description = "Of each solve (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(
      names = "--bound-limit",
      defaultValue = "none",
      converter = LimitConverter.class,
      paramLabel = "T",
      description =
          "Time to prove a bound for each dataset, cluster and objective, once for all solvers and"
              + " seeds; none for what solvers prove (default: ${DEFAULT-VALUE}).")
  private Duration boundLimit;

  @Option(
      names = "--warm-up",
      defaultValue = "2s",
      converter = DurationConverter.class,
      paramLabel = "T",
      description =
          "Each solver runs so long, once for each objective, before it is measured (default:"
              + " ${DEFAULT-VALUE}).")
  private Duration warmUp;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "D",
      description =
          "Folder of runs.jsonl, bounds.jsonl and report.html. Runs and bounds that it holds already"
              + " are not made again.")
  private Path output;

  @Option(names = "--json", description = "Print all runs as one JSON object to stdout.")
  private boolean json;

  private final List<BenchmarkRun> runs = new ArrayList<>(); // all that are known
  private BenchmarkProofs proofs;

  private record TimedSolver(PlacementSolver solver, Duration limit) {}

  @Override
  public Integer call() throws IOException {
    List<TimedSolver> timed = solvers.stream().map(this::solver).toList();
    check();
    seeds = seeds.stream().distinct().toList();
    runs.addAll(readRuns());
    proofs = new BenchmarkProofs(output, boundLimit, cap(), threads);
    List<Dataset> datasets = input.datasets();
    List<BenchmarkRun> wanted = new ArrayList<>();
    List<BenchmarkBound> bounds = new ArrayList<>();
    int instances = datasets.size() * clusters.size() * objectives.size();
    int each = timed.size() * seeds.size() + (proofs.isAsked() ? 1 : 0);
    try (ProgressBar bar = Terminal.progress("benchmark", (long) instances * each)) {
      for (Dataset dataset : datasets) {
        for (Topology cluster : clusters) {
          for (Objective objective : objectives) {
            PlacementProblem problem = PlacementProblem.balanced(dataset.fit(), cluster, objective);
            for (TimedSolver one : timed) {
              wanted.addAll(runs(dataset, problem, one, bar));
            }

            if (proofs.isAsked()) {
              tell(bar, dataset, problem, "bound");
              proofs.of(dataset.name(), problem, runs).ifPresent(bounds::add);
              bar.step();
            }
          }
        }
      }
    }

    print(BenchmarkSummary.of(wanted, bounds), wanted, bounds);
    return 0;
  }

  /** The runs of a solver, those that are not known yet after a warm-up. */
  private List<BenchmarkRun> runs(
      Dataset dataset, PlacementProblem problem, TimedSolver one, ProgressBar bar)
      throws IOException {
    List<BenchmarkRun> found = new ArrayList<>();
    boolean warm = false;
    for (long seed : seeds) {
      Key key = key(dataset, problem, one, seed);
      Optional<BenchmarkRun> known = runs.stream().filter(run -> run.key().equals(key)).findFirst();
      if (known.isEmpty()) {
        tell(bar, dataset, problem, one.solver().name());
        PlacementSolver solver = capped(one.solver(), problem.objective());
        if (!warm) {
          solver.solve(problem, config(warmUp, seed));
          warm = true;
        }

        known = Optional.of(run(key, problem, dataset, solver));
        runs.add(known.get());
        BenchmarkRuns.write(runs, output.resolve(RUNS));
      }

      found.add(known.get());
      bar.step();
    }

    return found;
  }

  private static void tell(
      ProgressBar bar, Dataset dataset, PlacementProblem problem, String what) {
    bar.setExtraMessage(
        " %s %s %s %s"
            .formatted(dataset.name(), problem.topology(), problem.objective().word(), what));
  }

  private void print(
      BenchmarkSummary summary, List<BenchmarkRun> wanted, List<BenchmarkBound> bounds)
      throws IOException {
    BenchmarkReport.of(summary, machine()).write(output.resolve(PAGE));
    PrintWriter err = spec.commandLine().getErr();
    err.print(BenchmarkTable.of(summary));
    err.printf(
        "%d runs on %s, %d thread%s each: %s%n",
        wanted.size(), machine(), threads, threads == 1 ? "" : "s", output.resolve(PAGE));
    err.flush();
    if (json) {
      ObjectNode root = JsonNodeFactory.instance.objectNode();
      ArrayNode list = root.putArray("runs");
      wanted.forEach(run -> list.add(BenchmarkRuns.toNode(run)));
      ArrayNode proven = root.putArray("bounds");
      bounds.forEach(bound -> proven.add(BenchmarkBounds.toNode(bound)));
      spec.commandLine().getOut().println(root);
      spec.commandLine().getOut().flush();
    }
  }

  private void check() {
    input.check();
    limits();
    if (threads < 1) {
      throw usage("Invalid number of threads: %d, at least 1".formatted(threads));
    }
  }

  private List<BenchmarkRun> readRuns() throws IOException {
    if (!Files.exists(output)) {
      Path parent = output.toAbsolutePath().normalize().getParent();
      if (parent == null || !Files.isDirectory(parent)) {
        throw new IOException(
            "Cannot write %s: the folder %s does not exist".formatted(output, parent));
      }

      Files.createDirectory(output);
    }

    if (!Files.isDirectory(output)) {
      throw new PlacementFormatException("Cannot write %s: it is not a folder".formatted(output));
    }

    return BenchmarkRuns.read(output.resolve(RUNS));
  }

  private TimedSolver solver(String argument) {
    int at = argument.indexOf('@');
    String name = at < 0 ? argument : argument.substring(0, at);
    try {
      return new TimedSolver(
          PlacementSolvers.find(name),
          at < 0 ? timeLimit : new DurationConverter().convert(argument.substring(at + 1)));
    } catch (IllegalArgumentException | TypeConversionException e) {
      throw usage("Invalid --solvers: %s: %s".formatted(argument, e.getMessage()));
    }
  }

  private Key key(Dataset dataset, PlacementProblem problem, TimedSolver one, long seed) {
    return new Key(
        dataset.name(),
        dataset.fit().tokens(),
        dataset.heldOut().map(RouteCounts::tokens).orElse(0L),
        problem.topology(),
        problem.objective(),
        cap(),
        one.solver().name(),
        one.limit(),
        threads,
        seed);
  }

  private OptionalDouble cap() {
    return maxLoad == null ? OptionalDouble.empty() : OptionalDouble.of(maxLoad);
  }

  private PlacementSolver capped(PlacementSolver solver, Objective objective) {
    return maxLoad == null
        ? solver
        : new AimedSolver(
            solver, new Aims(List.of(objective), 0, limits()), Duration.ZERO, true, caps -> {});
  }

  private Aims.Limits limits() {
    try {
      return new Aims.Limits(
          cap(), OptionalDouble.empty(), OptionalDouble.empty(), OptionalDouble.empty());
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private SolverConfig config(Duration limit, long seed) {
    return SolverConfig.DEFAULT.withTimeLimit(limit).withSeed(seed).withThreads(threads);
  }

  private BenchmarkRun run(
      Key key, PlacementProblem problem, Dataset dataset, PlacementSolver solver) {
    double tokens = Math.max(1, problem.counts().tokens());
    List<Point> points = new ArrayList<>();
    SolverOutcome outcome =
        solver.solve(
            problem,
            config(key.timeLimit(), key.seed())
                .withProgress(
                    step -> {
                      synchronized (points) {
                        add(points, new Point(step.seconds(), step.objective() / tokens));
                      }
                    }));
    if (outcome.placement().isEmpty()) {
      return new BenchmarkRun(
          key,
          outcome.status(),
          0,
          0,
          outcome.seconds(),
          OptionalDouble.empty(),
          0,
          0,
          0,
          outcome.note(),
          List.of());
    }

    // a step tells of its own part of the problem: what is below the result was of a part
    double value = outcome.objective() / tokens;
    points.removeIf(point -> point.value() < value);
    Placement plan = outcome.placement().get();
    PlacementCost cost = PlacementCost.of(dataset.fit(), plan);
    Optional<PlacementCost> heldOut =
        dataset.heldOut().map(counts -> PlacementCost.of(counts, plan));
    return new BenchmarkRun(
        key,
        outcome.status(),
        value,
        outcome.bound() / tokens,
        outcome.seconds(),
        heldOut.isEmpty()
            ? OptionalDouble.empty()
            : OptionalDouble.of(
                problem.objective().total(heldOut.get())
                    / (double) Math.max(1, heldOut.get().tokens())),
        cost.gpusPerToken(),
        cost.loadMeanMaxOverMean(),
        heldOut.orElse(cost).loadMeanMaxOverMean(),
        outcome.note(),
        points);
  }

  private static void add(List<Point> points, Point point) {
    if (points.isEmpty() || point.value() < points.get(points.size() - 1).value()) {
      points.add(point);
    }
  }

  private static String machine() {
    return String.format(
        Locale.ROOT,
        "%d cores of %s, JDK %d",
        Runtime.getRuntime().availableProcessors(),
        System.getProperty("os.arch"),
        Runtime.version().feature());
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  private static final class ObjectiveConverter implements ITypeConverter<Objective> {
    @Override
    public Objective convert(String value) {
      return Terminal.option(() -> Objective.ofWord(value));
    }
  }

  private static final class ClusterConverter implements ITypeConverter<Topology> {
    private static final Pattern FORM = Pattern.compile("(\\d{1,5})x(\\d{1,5})");

    @Override
    public Topology convert(String value) {
      Matcher matcher = FORM.matcher(value.strip());
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "Invalid cluster: %s, expected nodes x GPUs such as 1x4".formatted(value));
      }

      return Terminal.option(
          () ->
              new Topology(Integer.parseInt(matcher.group(1)), Integer.parseInt(matcher.group(2))));
    }
  }
}
