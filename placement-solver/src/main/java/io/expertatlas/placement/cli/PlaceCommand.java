package io.expertatlas.placement.cli;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.cli.MoveOptions.Terms;
import io.expertatlas.placement.cli.PlacementInput.Reading;
import io.expertatlas.placement.format.LayerRows;
import io.expertatlas.placement.format.ModelConfig;
import io.expertatlas.placement.format.PlacementFormat;
import io.expertatlas.placement.format.PlacementFormats;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementDocument.InSample;
import io.expertatlas.placement.json.PlacementDocument.Source;
import io.expertatlas.placement.search.AimedSolver;
import io.expertatlas.placement.search.EplbSolver;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Chooses a placement. */
@Command(
    name = "place",
    description = "Chooses which GPU holds each expert and writes the placement.",
    mixinStandardHelpOptions = true)
final class PlaceCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private TopologyOptions cluster;
  @Mixin private ModelOptions model;
  @Mixin private CopyOptions copies;
  @Mixin private FitOptions fit;
  @Mixin private MoveOptions move;
  @Mixin private AimOptions aim;

  @Option(
      names = "--solver",
      defaultValue = "auto",
      converter = SolverConverter.class,
      paramLabel = "S",
      description =
          "auto, pool, vanilla, random, greedy-load, eplb, sweep, viterbi, bipart, direct, node-then-gpu or"
              + " assignment (default: ${DEFAULT-VALUE}).")
  private PlacementSolver solver;

  @Option(
      names = "--time-limit",
      defaultValue = "60s",
      converter = DurationConverter.class,
      paramLabel = "T",
      description = "Of each solve, like 60s (default: ${DEFAULT-VALUE}).")
  private Duration timeLimit;

  @Option(
      names = "--step-limit",
      paramLabel = "N",
      description =
          "Most steps of a search, 1024 proposed changes or one start each. The same seed and limit"
              + " give the same plan on any number of threads, if the time limit is not hit"
              + " (default: none).")
  private Long stepLimit;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Of everything random (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--threads",
      paramLabel = "T",
      description = "Worker threads (default: all processors, at most 8).")
  private Integer threads;

  @Option(
      names = "--warm-start",
      paramLabel = "P",
      description =
          "Placement to start from: csv, placement.json, a folder with one or a file of an engine.")
  private String warmStart;

  @Option(
      names = "--current",
      paramLabel = "P",
      description =
          "Placement that runs now: change it only where that pays within --horizon, and write the"
              + " moves in a safe order.")
  private String current;

  @Option(
      names = "--csv-name",
      defaultValue = "placement",
      paramLabel = "NAME",
      description =
          "placement: placement.csv; exflow: solution_intra..., with the costs in the name"
              + " (default: ${DEFAULT-VALUE}).")
  private CsvName csvName;

  @Option(
      names = "--export",
      split = ",",
      converter = FormatConverter.class,
      paramLabel = "F",
      description =
          "Files of engines to write beside it: sglang, trtllm, vllm-ascend, vllm, vllm-list,"
              + " vllm-ranks, llama-cpp, ktransformers.")
  private List<PlacementFormat> exports = List.of();

  @Option(names = "--overwrite", description = "Replace the output folder if it exists.")
  private boolean overwrite;

  @Option(names = "--json", description = "Print the outcome as JSON to stdout.")
  private boolean json;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "D",
      description = "Folder to write: placement.json, the csv and what --export names.")
  private Path output;

  private Objective objective; // the last one aimed at
  private Caps caps = Caps.NONE; // within which it was solved last

  private enum CsvName {
    placement,
    exflow
  }

  @Override
  public Integer call() throws IOException {
    Topology topology = cluster.topology(spec);
    check(topology);
    Optional<ModelConfig> config = model.read();
    Aims aims = aim.aims(config);
    objective = aims.last();
    checkFront(aims);
    if (current == null) {
      move.checkUnused();
    }

    Optional<Terms> terms =
        current == null ? Optional.empty() : Optional.of(move.terms(model.file(), 0));
    copies.check(solver, aims, fit.isIncremental(), aim.isFront());
    OutputFolder folder =
        aim.isFront()
            ? OutputFiles.front(output, overwrite)
            : OutputFiles.folder(output, overwrite);
    folder.check();
    Fitting fitting = Fitting.of(fit, spec.commandLine().getErr());
    RouteCounts counts = fitting.counts();
    PlacementProblem problem = PlacementProblem.balanced(counts, topology, objective);
    LayerRows rows = ModelOptions.rows(config, counts.shape());
    int slots = copies.slots(problem);
    exports.forEach(format -> format.check(counts.shape().experts(), slots, topology));
    if (config.isPresent() && solver instanceof EplbSolver eplb) {
      solver = eplb.withGroups(config.get().groups());
    }

    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        "%d tokens of %s on %s GPUs: %s%n",
        counts.tokens(), counts.shape(), topology, copies.inWords(problem));
    err.flush();
    Source source = FitSource.of(fit.folders());
    try (StopSignal stop = new StopSignal(err)) {
      SolverConfig how = config(problem).withStop(stop::isStopped);
      if (aim.isFront()) {
        new FrontRun(spec, aim, problem, source, output, json).call(folder, solver, aims, how);
        return 0;
      }

      boolean renames =
          !PlaceReport.BASELINES.contains(solver.name()) && !(solver instanceof EplbSolver);
      PlacementSolver plain = solver;
      int groups = config.map(ModelConfig::groups).orElse(1);
      List<CostTable.Row> others = copies.baseline(solver, problem, groups);
      solver =
          copies.given()
              ? copies.solver(solver, problem, groups, aims, solved -> caps = solved)
              : new AimedSolver(solver, aims, aim.boundLimit(), renames, solved -> caps = solved);
      Optional<Placement> present = placement(current, problem);
      SolverOutcome outcome = fitting.solve(solver, plain, problem, how);
      if (outcome.placement().isEmpty()) {
        throw new IllegalStateException(
            "Cannot place with %s: %s, %s"
                .formatted(outcome.solver(), outcome.status().word(), outcome.note()));
      }

      Optional<Moving> moving = Optional.empty();
      if (present.isPresent()) {
        moving =
            Optional.of(
                Moving.choose(problem, present.get(), outcome.placement().get(), terms.get(), how));
        outcome = moving.get().outcome(problem, outcome);
      }

      PlacementCost cost = PlacementCost.of(counts, outcome.placement().get());
      PlacementDocument document =
          new PlacementDocument(counts.shape(), objective, outcome, InSample.of(cost), source);
      Map<String, byte[]> files = new TreeMap<>();
      if (fitting.isNoteworthy()) {
        files.put(Fitting.FILE, fitting.file(document.placement()));
      }

      moving.ifPresent(moves -> files.put(Moving.FILE, moves.file()));
      for (PlacementFormat format : exports) {
        files.put(format.fileName(), format.bytes(document.placement(), rows, counts.popularity()));
      }

      folder.write(
          aside -> OutputFiles.write(aside, csvName == CsvName.exflow, document, cost, files));
      AimReport aimed = new AimReport(caps, aim.traffic(config));
      PlaceReport report =
          new PlaceReport(problem, outcome, cost, fitting, aimed, moving, others, seed);
      report.print(err, exports, rows);
      if (json) {
        spec.commandLine().getOut().println(report.node(output, copies.given(), exports, rows));
        spec.commandLine().getOut().flush();
      }
    }

    return 0;
  }

  private void check(Topology topology) {
    if (threads != null && threads < 1) {
      throw new ParameterException(
          spec.commandLine(), "Invalid number of threads: %d, at least 1".formatted(threads));
    }

    if (stepLimit != null && stepLimit < 1) {
      throw new ParameterException(
          spec.commandLine(), "Invalid step limit: %d, at least 1".formatted(stepLimit));
    }

    if (csvName == CsvName.exflow && !topology.hasEqualNodes()) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid --csv-name: exflow, which has no name for the unequal nodes of %s"
              .formatted(topology));
    }
  }

  private void checkFront(Aims aims) {
    if (aim.isFront()) {
      aim.frontObjectives(aims);
      aim.frontCaps();
      if (fit.isRobust() || fit.isIncremental() || fit.shrinkage().orElse(1) > 0) {
        throw new ParameterException(
            spec.commandLine(),
            "Invalid options: --pareto with --robust, --shrinkage or increments, expected one affinity folder as it is");
      }
    }

    if (aim.isFront() && current != null) {
      throw new ParameterException(
          spec.commandLine(), "Invalid options: --pareto and --current, expected one of them");
    }
  }

  private Optional<Placement> placement(String argument, PlacementProblem problem)
      throws IOException {
    return argument == null
        ? Optional.empty()
        : Optional.of(
            PlacementInput.parse(argument)
                .read(
                    problem.shape(),
                    problem.topology(),
                    seed,
                    new Reading(Optional.empty(), model.read())));
  }

  private SolverConfig config(PlacementProblem problem) throws IOException {
    Optional<Placement> start = placement(warmStart, problem);
    int workers =
        threads == null ? Math.min(8, Runtime.getRuntime().availableProcessors()) : threads;
    ProgressLines lines =
        new ProgressLines(spec.commandLine().getErr(), problem.counts().tokens(), objective);
    return new SolverConfig(
        timeLimit,
        stepLimit == null ? Long.MAX_VALUE : stepLimit,
        seed,
        workers,
        start,
        lines::show,
        () -> false);
  }

  private static final class FormatConverter implements ITypeConverter<PlacementFormat> {
    @Override
    public PlacementFormat convert(String value) {
      return Terminal.option(() -> PlacementFormats.find(value));
    }
  }
}
