package io.expertatlas.placement.cli;

import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.arrow.FoldFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;

/**
 * The counts of affinity folders, parted into what is fitted on and what is scored on.
 *
 * @param traces one for each folder; of increments the last one alone
 */
record FitInput(List<FitInput.Trace> traces) {
  /**
   * The counts of a folder.
   *
   * @param folder where they are from
   * @param fit of the sequences that are fitted on
   * @param heldOut of those that are not, if any
   * @param fold the fold that is held out
   * @param fitFolds of each fold that is fitted on; none if there are no folds
   */
  record Trace(
      Path folder,
      RouteCounts fit,
      Optional<RouteCounts> heldOut,
      OptionalInt fold,
      List<RouteCounts> fitFolds) {}

  /**
   * Reads the folders.
   *
   * @throws AffinityFormatException if one is broken, or they are of different models
   */
  static FitInput read(FitOptions options) {
    if (options.isIncremental()) {
      RouteCounts whole = AffinityFiles.read(options.last());
      return new FitInput(
          List.of(
              new Trace(
                  options.last(),
                  whole,
                  Optional.empty(),
                  OptionalInt.empty(),
                  FoldFiles.read(options.last(), whole))));
    }

    List<Trace> traces = new ArrayList<>();
    for (Path folder : options.folders()) {
      Trace trace = read(folder, options);
      if (!traces.isEmpty() && !trace.fit().shape().equals(traces.get(0).fit().shape())) {
        throw new AffinityFormatException(
            "Cannot use %s: it is of %s, %s of %s"
                .formatted(
                    folder,
                    trace.fit().shape(),
                    traces.get(0).folder(),
                    traces.get(0).fit().shape()));
      }

      traces.add(trace);
    }

    return new FitInput(traces);
  }

  private static Trace read(Path folder, FitOptions options) {
    RouteCounts whole = AffinityFiles.read(folder);
    List<RouteCounts> folds = FoldFiles.read(folder, whole);
    OptionalInt out = options.holdOut(folds.size());
    if (out.isEmpty()) {
      return new Trace(folder, whole, Optional.empty(), out, folds);
    }

    List<RouteCounts> rest = new ArrayList<>(folds);
    RouteCounts heldOut = rest.remove(out.getAsInt());
    return new Trace(folder, CountsMixture.sum(rest), Optional.of(heldOut), out, rest);
  }

  /** All that is fitted on. */
  RouteCounts fit() {
    return traces.size() == 1
        ? traces.get(0).fit()
        : CountsMixture.sum(traces.stream().map(Trace::fit).toList());
  }

  /** All that is held out; empty if a trace has nothing held out. */
  Optional<RouteCounts> heldOut() {
    List<RouteCounts> counts = traces.stream().flatMap(trace -> trace.heldOut().stream()).toList();
    return counts.size() < traces.size()
        ? Optional.empty()
        : Optional.of(CountsMixture.sum(counts));
  }

  /**
   * Parts to validate on: the folds that are fitted on, else the groups of the folder.
   *
   * @throws AffinityFormatException if there are fewer than two of either
   */
  List<RouteCounts> validationParts() throws IOException {
    Trace trace = traces.get(0);
    if (trace.fitFolds().size() > 1) {
      return trace.fitFolds();
    }

    Path groups = trace.folder().resolve("groups");
    List<RouteCounts> parts = new ArrayList<>();
    if (Files.isDirectory(groups)) {
      try (Stream<Path> folders = Files.list(groups)) {
        folders.sorted().forEach(group -> parts.add(AffinityFiles.read(group)));
      }
    }

    parts.removeIf(part -> part.tokens() == 0);
    if (parts.size() < 2) {
      throw new AffinityFormatException(
          "Cannot choose the shrinkage from %s: %d folds to fit on and %d groups, at least 2 of either. Maybe analyze with --folds 4 and the sequences of the tokens"
              .formatted(trace.folder(), trace.fitFolds().size(), parts.size()));
    }

    return parts;
  }
}
