package io.expertatlas.placement.cli;

import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.arrow.FoldFiles;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceFacts;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What a benchmark places: affinity folders, or parts of a trace. */
final class BenchmarkInput {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Mixin private TraceFacts facts;

  @Option(
      names = "--affinity",
      paramLabel = "[NAME=]A",
      description =
          "Affinity folder to fit on; may be repeated. Scored on --score of its name, or on the"
              + " last of its folds.")
  private List<String> affinity = List.of();

  @Option(
      names = "--score",
      paramLabel = "[NAME=]A",
      description = "Affinity folder to score placements of that name on.")
  private List<String> score = List.of();

  @Option(
      names = "--trace",
      paramLabel = "T",
      description = "Trace to fit on a part of, given by --fit; counted here.")
  private Path trace;

  @Option(
      names = "--fit",
      paramLabel = "FROM:TO",
      converter = RangeConverter.class,
      description = "Tokens of --trace to fit on (default: those of --tokens).")
  private TokenRange fit;

  @Option(
      names = "--score-tokens",
      paramLabel = "FROM:TO",
      converter = RangeConverter.class,
      description = "Tokens of --trace to score on (default: none).")
  private TokenRange scoreTokens;

  /** Counts to fit on, and maybe to score on. */
  record Dataset(String name, RouteCounts fit, Optional<RouteCounts> heldOut) {}

  /**
   * Checks the options before anything is read.
   *
   * @throws ParameterException if nothing is named, or parts of no trace are
   */
  void check() {
    if (trace == null && affinity.isEmpty()) {
      throw usage("Missing required option: '--affinity=A' or '--trace=T'");
    }

    if (trace == null && (fit != null || scoreTokens != null)) {
      throw usage("Invalid options: --fit and --score-tokens are of --trace, which is not given");
    }
  }

  /**
   * Reads and counts what the options name.
   *
   * @throws ParameterException if a folder to score on has no folder to fit on
   */
  List<Dataset> datasets() throws IOException {
    Map<String, Path> scores = new TreeMap<>();
    for (String argument : score) {
      scores.put(name(argument), path(argument));
    }

    List<Dataset> datasets = new ArrayList<>();
    for (String argument : affinity) {
      String name = name(argument);
      RouteCounts whole = AffinityFiles.read(path(argument));
      if (scores.containsKey(name)) {
        RouteCounts heldOut = AffinityFiles.read(scores.remove(name));
        if (!heldOut.shape().equals(whole.shape())) {
          throw new AffinityFormatException(
              "Cannot score %s: it is of %s, --score of %s"
                  .formatted(name, whole.shape(), heldOut.shape()));
        }

        datasets.add(new Dataset(name, whole, Optional.of(heldOut)));
        continue;
      }

      List<RouteCounts> folds = new ArrayList<>(FoldFiles.read(path(argument), whole));
      if (folds.isEmpty()) {
        datasets.add(new Dataset(name, whole, Optional.empty()));
      } else {
        RouteCounts heldOut = folds.remove(folds.size() - 1);
        datasets.add(new Dataset(name, CountsMixture.sum(folds), Optional.of(heldOut)));
      }
    }

    if (!scores.isEmpty()) {
      throw usage(
          "Invalid --score: %s, there is no --affinity of that name".formatted(scores.keySet()));
    }

    if (trace != null) {
      datasets.add(
          new Dataset(
              trace.getFileName().toString(),
              count(fit == null ? facts.selection().tokens() : fit),
              scoreTokens == null ? Optional.empty() : Optional.of(count(scoreTokens))));
    }

    return datasets;
  }

  private RouteCounts count(TokenRange tokens) {
    TokenSelection selection = new TokenSelection(tokens, facts.selection().sequences());
    try (TraceReader reader = TraceFormat.openTrace(facts.source(trace), selection)) {
      RouteCounts counts = InMemoryEstimator.count(reader);
      if (counts.tokens() == 0) {
        throw new TraceFormatException(
            "No token of %s is selected by %s".formatted(trace, selection));
      }

      return counts;
    }
  }

  private static String name(String argument) {
    int equals = argument.indexOf('=');
    if (equals > 0) {
      return argument.substring(0, equals);
    }

    Path file = Path.of(argument).getFileName();
    return file == null ? argument : file.toString();
  }

  private static Path path(String argument) {
    return Path.of(argument.substring(argument.indexOf('=') + 1));
  }

  private ParameterException usage(String message) {
    return new ParameterException(command.commandLine(), message);
  }

  private static final class RangeConverter implements ITypeConverter<TokenRange> {
    @Override
    public TokenRange convert(String value) {
      return Terminal.option(() -> TokenRange.parse(value));
    }
  }
}
