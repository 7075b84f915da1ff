package io.expertatlas.affinity.cli;

import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.AnalysisFigures;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.CountsAnalysis;
import io.expertatlas.affinity.ExpertGrouping;
import io.expertatlas.affinity.TokenGroups;
import io.expertatlas.affinity.TraceAnalysis;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.arrow.AnalysisFiles;
import io.expertatlas.affinity.json.AnalysisParser;
import io.expertatlas.affinity.report.AffinityReport;
import io.expertatlas.affinity.report.CountsReport;
import io.expertatlas.affinity.spark.AnalyzeJob;
import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.JobOptions;
import io.expertatlas.trace.terminal.StageBars;
import io.expertatlas.trace.terminal.TraceFacts;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code atlas analyze}. */
@Command(
    name = "analyze",
    description = "Counts how tokens travel through the experts and measures affinity.",
    mixinStandardHelpOptions = true)
final class AnalyzeCommand implements Callable<Integer> {
  private static final Pattern FILES =
      Pattern.compile("[a-z0-9-]+\\.arrow|summary\\.json|report\\.html|groups");
  private static final String SUMMARY = "summary.json";
  private static final String REPORT = "report.html";

  @Spec private CommandSpec spec;
  @Mixin private TraceFacts facts;
  @Mixin private JobOptions job;

  @Option(
      names = "--trace",
      paramLabel = "T",
      description = "Routing-trace dataset, capture folder or raw file (.npy).")
  private Path trace;

  @Option(
      names = "--counts",
      paramLabel = "F",
      description =
          "In place of --trace: a file of counts, which tell popularity over time but no affinity;"
              + " --window is then in steps (default 1).")
  private Path counts;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "A",
      description = "Affinity folder, to be created: Arrow files, summary.json, report.html.")
  private Path output;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Seed of the shuffled controls (default: ${DEFAULT-VALUE}).")
  private long seed = 1;

  @Option(
      names = "--window",
      paramLabel = "N",
      description = "Popularity over time, in windows of so many tokens of the trace.")
  private long window;

  @Option(
      names = "--ema",
      paramLabel = "A",
      description =
          "Weight of the newest window in the moving average that forecasts the next (default:"
              + " ${DEFAULT-VALUE}).")
  private double alpha = 0.3;

  @Option(
      names = "--lags",
      paramLabel = "D",
      split = ",",
      description = "Affinity between layers so many layers apart, such as 1,2,3.")
  private List<Integer> lags = List.of();

  @Option(
      names = "--grouping",
      paramLabel = "G",
      description =
          "Report the share of tokens that stay in a group of experts: blocks:N for blocks of N"
              + " experts, or a csv with rows layer*experts+expert,group, such as placement.csv.")
  private String grouping = "";

  @Option(
      names = "--locality",
      description = "Overlap with the token before, reuse distance, hit rates of expert caches.")
  private boolean locality;

  @Option(
      names = "--group-by",
      paramLabel = "BY",
      description =
          "Split every figure by sequence, by phase, or by a csv file with the columns sequence"
              + " and group.")
  private String groupBy = "";

  @Option(names = "--json", description = "Print the summary to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    OutputFolder folder = new OutputFolder(output, job.overwrite(), "affinity folder", FILES);
    folder.check();
    AnalysisPlan plan = plan();
    if (counts != null) {
      return analyzeCounts(folder);
    }

    if (trace == null) {
      throw usage("Missing required option: '--trace=T'");
    }

    List<ExpertGrouping> groupings = groupings();
    TraceAnalysis analysis;
    try (StageBars bar = new StageBars(spec.commandLine().getErr())) {
      analysis =
          AnalyzeJob.runAlone(job.master(), facts.source(trace), facts.selection(), plan, bar);
    }

    String name = trace.getFileName().toString();
    AffinitySummary summary = AffinitySummary.of(analysis.counts(), name, facts.selection(), seed);
    AnalysisFigures figures = AnalysisFigures.of(analysis, summary, groupings, alpha);
    String text = AnalysisParser.toJson(figures);
    folder.write(aside -> write(figures, text, aside));
    PrintWriter err = spec.commandLine().getErr();
    err.print(SummaryTable.of(summary));
    err.printf("%s: open %s in a browser%n", output, output.resolve(REPORT));
    err.flush();
    if (json) {
      PrintWriter out = spec.commandLine().getOut();
      out.print(text);
      out.flush();
    }

    return 0;
  }

  private int analyzeCounts(OutputFolder folder) throws IOException {
    if (trace != null) {
      throw usage("Invalid options: --trace and --counts, expected one of them");
    }

    for (String option :
        List.of("--lags", "--grouping", "--locality", "--group-by", "--tokens", "--sequences")) {
      if (spec.commandLine().getParseResult().hasMatchedOption(option)) {
        throw usage("Invalid option with --counts: %s, counts do not tell it".formatted(option));
      }
    }

    CountsAnalysis analysis;
    try (CountsReader reader = CountsFormat.openCounts(facts.source(counts))) {
      analysis = CountsAnalysis.of(reader, counts.getFileName().toString(), Math.max(1, window));
    }

    String text = AnalysisParser.toJson(analysis, alpha);
    folder.write(
        aside -> {
          AnalysisFiles.writeInto(analysis, alpha, aside);
          Files.writeString(aside.resolve(SUMMARY), text);
          CountsReport.of(analysis, alpha).write(aside.resolve(REPORT));
        });
    PrintWriter err = spec.commandLine().getErr();
    err.print(SummaryTable.of(analysis));
    err.printf("%s: open %s in a browser%n", output, output.resolve(REPORT));
    err.flush();
    if (json) {
      PrintWriter out = spec.commandLine().getOut();
      out.print(text);
      out.flush();
    }

    return 0;
  }

  private AnalysisPlan plan() throws IOException {
    if (spec.commandLine().getParseResult().hasMatchedOption("--window") && window < 1) {
      throw usage("Invalid window: %d tokens, at least 1".formatted(window));
    }

    if (!(alpha > 0 && alpha <= 1)) {
      throw usage("Invalid --ema: %s, above 0, at most 1".formatted(alpha));
    }

    TokenGroups groups = groupBy.isEmpty() ? TokenGroups.NONE : TokenGroups.parse(groupBy);
    List<Integer> wanted = lags.isEmpty() && !grouping.isEmpty() ? List.of(1) : lags;
    try {
      return new AnalysisPlan(window, wanted, locality, groups);
    } catch (IllegalArgumentException e) {
      throw usage(e.getMessage());
    }
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  private List<ExpertGrouping> groupings() throws IOException {
    if (grouping.isEmpty()) {
      return List.of();
    }

    try (TraceReader reader = TraceFormat.openTrace(facts.source(trace))) {
      return List.of(ExpertGrouping.parse(grouping, reader.shape()));
    }
  }

  private static void write(AnalysisFigures figures, String summary, Path folder)
      throws IOException {
    TraceAnalysis analysis = figures.analysis();
    AffinityFiles.writeInto(analysis.counts(), folder);
    AnalysisFiles.writeInto(analysis, figures.distances(), figures.alpha(), folder);
    Files.writeString(folder.resolve(SUMMARY), summary);
    AffinityReport.of(figures).write(folder.resolve(REPORT));
  }
}
