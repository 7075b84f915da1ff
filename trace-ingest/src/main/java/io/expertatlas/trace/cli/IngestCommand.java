package io.expertatlas.trace.cli;

import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.spark.IngestJob;
import io.expertatlas.trace.terminal.FormatOptionsMixin;
import io.expertatlas.trace.terminal.JobOptions;
import io.expertatlas.trace.terminal.StageBars;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code atlas ingest}. */
@Command(
    name = "ingest",
    description = "Turns dumps of one model into one routing-trace dataset.",
    mixinStandardHelpOptions = true)
final class IngestCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--input",
      required = true,
      arity = "1..*",
      paramLabel = "P",
      description = "Dumps to read, in the order that their tokens shall have.")
  private List<Path> inputs;

  @Option(
      names = "--format",
      paramLabel = "F",
      description = "Format of the inputs, such as npy or megatron; without it, found by looking.")
  private String format = "";

  @Option(
      names = "--experts",
      paramLabel = "E",
      description = "Experts in each layer, for raw files, which do not say it.")
  private Integer experts;

  @Option(
      names = "--sequence-file",
      arity = "1..*",
      paramLabel = "S",
      description = "Integer .npy with the sequence id of each token, one for each raw input.")
  private List<Path> sequenceFiles = List.of();

  @Option(
      names = "--position-file",
      arity = "1..*",
      paramLabel = "P",
      description = "Integer .npy with the position of each token, one for each raw input.")
  private List<Path> positionFiles = List.of();

  @Mixin private FormatOptionsMixin formatOptions;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "T",
      description = "Folder of the dataset, to be created.")
  private Path output;

  @Mixin private JobOptions job;

  @Option(names = "--json", description = "Print the manifest to stdout.")
  private boolean json;

  @Override
  public Integer call() {
    List<TraceSource> sources = sources();
    TraceManifest manifest;
    try (StageBars bars = new StageBars(spec.commandLine().getErr())) {
      manifest = IngestJob.runAlone(job.master(), sources, output, job.overwrite(), bars);
    }

    if (json) {
      spec.commandLine().getOut().print(TraceManifestParser.toJson(manifest));
      spec.commandLine().getOut().flush();
    }

    spec.commandLine()
        .getErr()
        .printf(
            "%s: %s, %,d tokens in %,d sequences%s, %d part%s, %,d bytes%n",
            output,
            manifest.shape(),
            manifest.tokens(),
            manifest.sequences(),
            manifest.weights() ? ", with router weights" : "",
            manifest.parts().size(),
            manifest.parts().size() == 1 ? "" : "s",
            manifest.parts().stream().mapToLong(TraceManifest.Part::bytes).sum());
    spec.commandLine().getErr().flush();
    return 0;
  }

  private List<TraceSource> sources() {
    checkCount("--sequence-file", sequenceFiles);
    checkCount("--position-file", positionFiles);
    List<TraceSource> sources = new ArrayList<>();
    for (int i = 0; i < inputs.size(); i++) {
      sources.add(
          new TraceSource(
              inputs.get(i),
              format,
              experts == null ? OptionalInt.empty() : OptionalInt.of(experts),
              sequenceFiles.isEmpty() ? Optional.empty() : Optional.of(sequenceFiles.get(i)),
              positionFiles.isEmpty() ? Optional.empty() : Optional.of(positionFiles.get(i)),
              formatOptions.options()));
    }

    return sources;
  }

  private void checkCount(String option, List<Path> files) {
    if (!files.isEmpty() && files.size() != inputs.size()) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid number of files for %s: %d, one for each of the %d inputs"
              .formatted(option, files.size(), inputs.size()));
    }
  }
}
