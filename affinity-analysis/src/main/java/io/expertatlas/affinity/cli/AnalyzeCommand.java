package io.expertatlas.affinity.cli;

import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.json.AffinitySummaryParser;
import io.expertatlas.affinity.report.AffinityReport;
import io.expertatlas.affinity.spark.AnalyzeJob;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code atlas analyze}. */
@Command(
    name = "analyze",
    description = "Counts how tokens travel through the experts and measures affinity.",
    mixinStandardHelpOptions = true)
final class AnalyzeCommand implements Callable<Integer> {
  private static final Pattern FILES =
      Pattern.compile("[a-z-]+\\.arrow|summary\\.json|report\\.html");
  private static final String SUMMARY = "summary.json";
  private static final String REPORT = "report.html";

  @Spec private CommandSpec spec;
  @Mixin private TraceOptions trace;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "A",
      description = "Affinity folder, to be created: Arrow files, summary.json, report.html.")
  private Path output;

  @Option(
      names = "--master",
      paramLabel = "M",
      description = "Spark master; without it, spark-submit's, else local[*].")
  private String master = "";

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Seed of the shuffled controls (default: ${DEFAULT-VALUE}).")
  private long seed = 1;

  @Option(names = "--overwrite", description = "Replace an existing affinity folder.")
  private boolean overwrite;

  @Option(names = "--json", description = "Print the summary to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    OutputFolder folder = new OutputFolder(output, overwrite, "affinity folder", FILES);
    folder.check();
    RouteCounts counts;
    try (StageBar bar = new StageBar(spec.commandLine().getErr())) {
      counts =
          AnalyzeJob.runAlone(master, trace.source(), trace.selection(), AnalysisPlan.PLAIN, bar)
              .counts();
    }

    AffinitySummary summary =
        AffinitySummary.of(
            counts, trace.source().path().getFileName().toString(), trace.selection(), seed);
    folder.write(aside -> write(counts, summary, aside));
    PrintWriter err = spec.commandLine().getErr();
    err.print(SummaryTable.of(summary));
    err.printf("%s: open %s in a browser%n", output, output.resolve(REPORT));
    err.flush();
    if (json) {
      PrintWriter out = spec.commandLine().getOut();
      out.print(AffinitySummaryParser.toJson(summary));
      out.flush();
    }

    return 0;
  }

  private static void write(RouteCounts counts, AffinitySummary summary, Path folder)
      throws IOException {
    AffinityFiles.writeInto(counts, folder);
    Files.writeString(folder.resolve(SUMMARY), AffinitySummaryParser.toJson(summary));
    AffinityReport.of(counts, summary).write(folder.resolve(REPORT));
  }
}
