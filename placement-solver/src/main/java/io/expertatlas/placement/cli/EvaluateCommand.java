package io.expertatlas.placement.cli;

import io.expertatlas.affinity.RouteCounter;
import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Replay;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.placement.TrafficReplay;
import io.expertatlas.placement.cli.PlacementInput.Reading;
import io.expertatlas.placement.format.PlacementFormats;
import io.expertatlas.placement.report.PlacementReport;
import io.expertatlas.placement.report.ScoredPlacement;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Replays a trace under placements. */
@Command(
    name = "evaluate",
    description = "Replays a trace under placements and prints what its tokens pay.",
    mixinStandardHelpOptions = true)
final class EvaluateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private TraceOptions trace;
  @Mixin private TopologyOptions cluster;
  @Mixin private ModelOptions model;

  @Option(
      names = "--placement",
      required = true,
      arity = "1..*",
      paramLabel = "P",
      description =
          "ExFlow's csv, a placement.json, a folder with one, a file of an engine, or the word"
              + " vanilla or random; LABEL=P names it in the output.")
  private List<String> placements;

  @Option(
      names = "--placement-format",
      defaultValue = PlacementInput.AUTO,
      converter = FormatConverter.class,
      paramLabel = "F",
      description =
          "Of the placements' files: auto (told by the file), csv, json, or an engine's: sglang,"
              + " trtllm, vllm-ascend, vllm, vllm-list, vllm-ranks, llama-cpp"
              + " (default: ${DEFAULT-VALUE}).")
  private String format;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Seed of the placement 'random' (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--json",
      description =
          "Print JSON to stdout: the object of the placement, or {\"placements\": [...]} of"
              + " several.")
  private boolean json;

  @Option(
      names = "--report",
      paramLabel = "FILE",
      description =
          "Write a page with plots; it compares the placements with the first, on one cluster.")
  private Path report;

  @Option(
      names = "--mode",
      paramLabel = "M",
      description =
          "Also count the vectors that tokens send between GPUs, by layer, as 'atlas run' does:"
              + " ${COMPLETION-CANDIDATES}.")
  private ParallelMode mode;

  @Option(
      names = "--vector-bytes",
      paramLabel = "B",
      defaultValue = "1",
      description =
          "With --mode: bytes of such a vector, hidden size x bytes of a number; 1 counts vectors"
              + " (default: ${DEFAULT-VALUE}).")
  private long vectorBytes;

  @Override
  public Integer call() throws IOException {
    List<PlacementInput> inputs = placements.stream().map(PlacementInput::parse).toList();
    Reading reading =
        new Reading(
            Optional.of(format).filter(word -> !word.equals(PlacementInput.AUTO)), model.read());
    Topology topology = topology(inputs, reading);
    try (TraceReader reader = trace.open()) {
      List<Placement> read = new ArrayList<>();
      for (PlacementInput input : inputs) {
        read.add(input.read(reader.shape(), topology, seed, reading));
      }

      read.add(
          new PlacementInput("", PlacementInput.VANILLA)
              .read(reader.shape(), topology, seed, reading));
      List<Replay> replays =
          read.stream().map(placement -> new Replay(reader.shape(), placement)).toList();
      RouteCounter counter = new RouteCounter(reader.shape());
      List<TrafficReplay> traffic =
          mode == null
              ? List.of()
              : read.subList(0, inputs.size()).stream()
                  .map(placement -> new TrafficReplay(reader.shape(), placement, mode))
                  .toList();
      replay(reader, replays, traffic, counter);
      List<ScoredPlacement> scored = new ArrayList<>();
      for (int i = 0; i < inputs.size(); i++) {
        scored.add(new ScoredPlacement(inputs.get(i).label(), read.get(i), replays.get(i).cost()));
      }

      print(
          scored.stream().map(one -> new CostTable.Row(one.name(), one.cost())).toList(),
          replays.get(inputs.size()).cost(),
          traffic.stream().map(TrafficReplay::moved).toList());
      if (report != null) {
        PlacementReport.of(traceInWords(), counter.counts(), scored).write(report);
      }
    }

    return 0;
  }

  private String traceInWords() {
    String name =
        "trace '%s'".formatted(trace.source().path().toAbsolutePath().normalize().getFileName());
    return trace.selection().isAll() ? name : "%s (%s)".formatted(name, trace.selection());
  }

  private Topology topology(List<PlacementInput> inputs, Reading reading) throws IOException {
    if (!cluster.given()) {
      for (PlacementInput input : inputs) {
        Optional<Topology> found = input.topology(reading);
        if (found.isPresent()) {
          return found.get();
        }
      }
    }

    return cluster.topology(spec);
  }

  private void replay(
      TraceReader reader, List<Replay> replays, List<TrafficReplay> traffic, RouteCounter counter) {
    long tokens = 0;
    try (ProgressBar bar = Terminal.progress("evaluate", reader.tokens())) {
      for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
        for (Replay replay : replays) {
          replay.add(next.get());
        }

        for (TrafficReplay replay : traffic) {
          replay.add(next.get());
        }

        if (report != null) {
          counter.add(next.get());
        }

        tokens += next.get().tokens();
        bar.stepTo(tokens);
      }

      bar.maxHint(tokens);
    }

    if (tokens == 0) {
      throw new TraceFormatException(
          "No token of %s is selected by %s".formatted(trace.source().path(), trace.selection()));
    }
  }

  private void print(List<CostTable.Row> rows, PlacementCost vanilla, List<TrafficMatrix> moved) {
    spec.commandLine()
        .getErr()
        .printf(
            "%d tokens of %s on %s GPUs; hops, crossings and inter-node per token%n%s",
            vanilla.tokens(), vanilla.shape(), vanilla.topology(), CostTable.of(rows, vanilla));
    for (int i = 0; i < moved.size(); i++) {
      spec.commandLine()
          .getErr()
          .printf(
              "%s, mode %s: %d vectors moved, %.4f per token and layer%n",
              rows.get(i).label(),
              mode.word(),
              moved.get(i).total(),
              moved.get(i).total() / (double) vanilla.tokens() / vanilla.shape().layers());
    }

    spec.commandLine().getErr().flush();
    if (json) {
      spec.commandLine().getOut().println(CostJson.of(rows, vanilla, moved, vectorBytes));
      spec.commandLine().getOut().flush();
    }
  }

  private static final class FormatConverter implements ITypeConverter<String> {
    @Override
    public String convert(String value) {
      List<String> own = List.of(PlacementInput.AUTO, PlacementInput.CSV, PlacementInput.JSON);
      return own.contains(value)
          ? value
          : Terminal.option(() -> PlacementFormats.find(value)).name();
    }
  }
}
