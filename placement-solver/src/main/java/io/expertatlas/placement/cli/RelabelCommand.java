package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.cli.PlacementInput.Reading;
import io.expertatlas.placement.format.LayerRows;
import io.expertatlas.placement.format.ModelConfig;
import io.expertatlas.placement.format.PlacementFormat;
import io.expertatlas.placement.format.PlacementFormats;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementDocument.InSample;
import io.expertatlas.placement.json.PlacementDocument.Source;
import io.expertatlas.placement.search.GapBound;
import io.expertatlas.placement.search.Relabel;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
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
import picocli.CommandLine.Spec;

/** Renames the GPUs of each layer of any placement, so that tokens hop least. */
@Command(
    name = "relabel",
    description =
        "Renames the GPUs of each layer of a placement so that tokens hop least. Fan-out and load"
            + " stay as they are.",
    mixinStandardHelpOptions = true)
final class RelabelCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private TopologyOptions cluster;
  @Mixin private ModelOptions model;

  @Option(
      names = "--placement",
      required = true,
      paramLabel = "P",
      description =
          "ExFlow's csv, a placement.json, a folder with one, a file of an engine, or the word"
              + " vanilla or random.")
  private String placement;

  @Option(
      names = "--affinity",
      required = true,
      paramLabel = "A",
      description = "Affinity folder with the transitions that hops are counted on.")
  private Path affinity;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Seed of the placement 'random' (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--export",
      split = ",",
      converter = FormatConverter.class,
      paramLabel = "F",
      description = "Files of engines to write beside it, as place does.")
  private List<PlacementFormat> exports = List.of();

  @Option(names = "--overwrite", description = "Replace the output folder if it exists.")
  private boolean overwrite;

  @Option(names = "--json", description = "Print both costs as JSON to stdout.")
  private boolean json;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "D",
      description = "Folder to write: placement.json, the csv and what --export names.")
  private Path output;

  @Override
  public Integer call() throws IOException {
    long startNanos = System.nanoTime();
    OutputFolder folder = OutputFiles.folder(output, overwrite);
    folder.check();
    Optional<ModelConfig> config = model.read();
    Reading reading = new Reading(Optional.empty(), config);
    PlacementInput input = PlacementInput.parse(placement);
    Optional<Topology> own = cluster.given() ? Optional.empty() : input.topology(reading);
    Topology topology = own.isPresent() ? own.get() : cluster.topology(spec);
    RouteCounts counts = AffinityFiles.read(affinity);
    Placement before = input.read(counts.shape(), topology, seed, reading);
    Placement after =
        Relabel.of(counts.transitions(), before)
            .orElseThrow(
                () ->
                    new PlacementFormatException(
                        "Cannot relabel %s: experts have several copies".formatted(input.what())));
    List<CostTable.Row> rows = new ArrayList<>();
    rows.add(new CostTable.Row("before", PlacementCost.of(counts, before)));
    rows.add(new CostTable.Row("relabelled", PlacementCost.of(counts, after)));
    write(folder, counts, before, after, config, (System.nanoTime() - startNanos) / 1e9);
    Placement vanilla =
        new PlacementInput("", PlacementInput.VANILLA)
            .read(counts.shape(), topology, seed, reading);
    print(rows, counts, PlacementCost.of(counts, vanilla));
    return 0;
  }

  private void write(
      OutputFolder folder,
      RouteCounts counts,
      Placement before,
      Placement after,
      Optional<ModelConfig> config,
      double seconds)
      throws IOException {
    PlacementCost cost = PlacementCost.of(counts, after);
    long bound =
        Math.min(
            cost.hops(),
            before.isBalanced()
                ? GapBound.of(
                    Chain.of(PlacementProblem.balanced(counts, after.topology(), Objective.HOPS)))
                : 0);
    SolverOutcome outcome =
        new SolverOutcome(
            "relabel",
            cost.hops() == bound ? SolverStatus.OPTIMAL : SolverStatus.FEASIBLE,
            Optional.of(after),
            cost.hops(),
            bound,
            seconds,
            seed,
            "%s with other names of GPUs; %d hops before"
                .formatted(placement, PlacementCost.of(counts, before).hops()));
    PlacementDocument document =
        new PlacementDocument(
            counts.shape(),
            Objective.HOPS,
            outcome,
            InSample.of(cost),
            new Source(List.of(affinity.toString()), "", "", ""));
    LayerRows layers = ModelOptions.rows(config, counts.shape());
    Map<String, byte[]> files = new TreeMap<>();
    for (PlacementFormat format : exports) {
      files.put(format.fileName(), format.bytes(after, layers, counts.popularity()));
    }

    folder.write(aside -> OutputFiles.write(aside, false, document, cost, files));
  }

  private void print(List<CostTable.Row> rows, RouteCounts counts, PlacementCost vanilla) {
    PlacementCost before = rows.get(0).cost();
    PlacementCost after = rows.get(1).cost();
    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        "%d tokens of %s on %s GPUs: %.4f hops a token before, %.4f after (%+.1f %%)%n%s",
        counts.tokens(),
        counts.shape(),
        before.topology(),
        before.hopsPerToken(),
        after.hopsPerToken(),
        CostTable.changePercent(after, before),
        CostTable.of(rows, vanilla));
    err.flush();
    if (json) {
      ObjectNode node = CostJson.node(rows.get(1), vanilla);
      node.set("before", CostJson.node(rows.get(0), vanilla));
      node.put("output", output.toString());
      spec.commandLine().getOut().println(node);
      spec.commandLine().getOut().flush();
    }
  }

  private static final class FormatConverter implements ITypeConverter<PlacementFormat> {
    @Override
    public PlacementFormat convert(String value) {
      return Terminal.option(() -> PlacementFormats.find(value));
    }
  }
}
