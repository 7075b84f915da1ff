package io.expertatlas.placement.cli;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Replay;
import io.expertatlas.placement.Topology;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
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

  @Option(
      names = "--placement",
      required = true,
      arity = "1..*",
      paramLabel = "P",
      description =
          "ExFlow's csv, a placement.json, a folder with one, or the word vanilla or random;"
              + " LABEL=P names it in the output.")
  private List<String> placements;

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

  @Override
  public Integer call() throws IOException {
    List<PlacementInput> inputs = placements.stream().map(PlacementInput::parse).toList();
    Topology topology = topology(inputs);
    try (TraceReader reader = trace.open()) {
      List<Replay> replays = new ArrayList<>();
      for (PlacementInput input : inputs) {
        replays.add(new Replay(reader.shape(), input.read(reader.shape(), topology, seed)));
      }

      Placement blocks =
          new PlacementInput("", PlacementInput.VANILLA).read(reader.shape(), topology, seed);
      replays.add(new Replay(reader.shape(), blocks));
      replay(reader, replays);
      List<CostTable.Row> rows = new ArrayList<>();
      for (int i = 0; i < inputs.size(); i++) {
        rows.add(new CostTable.Row(inputs.get(i).label(), replays.get(i).cost()));
      }

      print(rows, replays.get(inputs.size()).cost());
    }

    return 0;
  }

  private Topology topology(List<PlacementInput> inputs) throws IOException {
    if (!cluster.given()) {
      for (PlacementInput input : inputs) {
        Optional<Topology> found = input.topology();
        if (found.isPresent()) {
          return found.get();
        }
      }
    }

    return cluster.topology(spec);
  }

  private void replay(TraceReader reader, List<Replay> replays) {
    long tokens = 0;
    try (ProgressBar bar = Terminal.progress("evaluate", reader.tokens())) {
      for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
        for (Replay replay : replays) {
          replay.add(next.get());
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

  private void print(List<CostTable.Row> rows, PlacementCost vanilla) {
    spec.commandLine()
        .getErr()
        .printf(
            "%d tokens of %s on %s GPUs; hops, crossings and inter-node per token%n%s",
            vanilla.tokens(), vanilla.shape(), vanilla.topology(), CostTable.of(rows, vanilla));
    spec.commandLine().getErr().flush();
    if (json) {
      spec.commandLine().getOut().println(CostJson.of(rows, vanilla));
      spec.commandLine().getOut().flush();
    }
  }
}
