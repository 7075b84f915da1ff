package io.expertatlas.placement.cli;

import io.expertatlas.placement.CountsShrinkage;
import io.expertatlas.trace.terminal.Terminal;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * The options that say what a placement is fitted on and how much the counts are trusted: a picocli
 * {@code @Mixin}.
 */
final class FitOptions {
  private static final String LAST = "last";
  private static final String NONE = "none";
  private static final String AUTO = "auto";

  /** What one placement for several traces minimises. */
  enum Robust {
    /** The worst of their costs. */
    WORST,
    /** The mean of their costs by weights. */
    WEIGHTED
  }

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--affinity",
      required = true,
      paramLabel = "A",
      description =
          "Affinity folder. Several need --robust, or are --incremental, which they are too if"
              + " nothing is said.")
  private List<Path> affinity;

  @Option(
      names = "--incremental",
      description =
          "The folders are of growing prefixes of a trace, solved one after the other, each from"
              + " the plan before it.")
  private boolean incremental;

  @Option(
      names = "--robust",
      paramLabel = "R",
      description =
          "One placement for the traces of all folders: worst minimises the worst of their costs,"
              + " weighted the mean by --weights.")
  private Robust robust;

  @Option(
      names = "--weights",
      split = ",",
      paramLabel = "W",
      description = "Of the folders with --robust weighted, such as 2,1 (default: equal).")
  private List<Double> weights = List.of();

  @Option(
      names = "--hold-out",
      defaultValue = LAST,
      paramLabel = "F",
      description =
          "Fold of the sequences that the placement is not fitted on, but scored on: its number,"
              + " last or none (default: ${DEFAULT-VALUE}, if the folder has folds).")
  private String holdOut;

  @Option(
      names = "--shrinkage",
      defaultValue = "0",
      paramLabel = "S",
      description =
          "How far the pair counts are drawn toward --shrink-toward, 0 to 1, or auto: chosen by"
              + " cross-validation over folds, or over groups if there are no folds; it takes the"
              + " time limit once more (default: ${DEFAULT-VALUE}).")
  private String shrinkage;

  @Option(
      names = "--shrink-toward",
      split = ",",
      defaultValue = "co-activation",
      converter = TargetConverter.class,
      paramLabel = "T",
      description =
          "co-activation, independence, pairs or even; several are applied in turn (default:"
              + " ${DEFAULT-VALUE}).")
  private List<CountsShrinkage> targets;

  /** The folders. */
  List<Path> folders() {
    return affinity;
  }

  /** The folder that says what the placement was made for: the last one. */
  Path last() {
    return affinity.get(affinity.size() - 1);
  }

  /** Whether folders are increments. */
  boolean isIncremental() {
    return robust == null && affinity.size() > 1;
  }

  /** Whether one placement is for several traces. */
  boolean isRobust() {
    return robust != null;
  }

  Robust robust() {
    return robust;
  }

  /** The weights of the folders; equal ones if none were given. */
  List<Double> weights() {
    return weights.isEmpty() ? affinity.stream().map(folder -> 1.0).toList() : weights;
  }

  /** Whether the strength is to be chosen. */
  boolean isShrinkageAuto() {
    return shrinkage.equals(AUTO);
  }

  /** The strength that was given; empty if it is to be chosen. */
  OptionalDouble shrinkage() {
    if (isShrinkageAuto()) {
      return OptionalDouble.empty();
    }

    double strength;
    try {
      strength = Double.parseDouble(shrinkage);
    } catch (NumberFormatException e) {
      strength = Double.NaN;
    }

    if (!(strength >= 0 && strength <= 1)) {
      throw usage("Invalid --shrinkage: %s, auto or 0 to 1".formatted(shrinkage));
    }

    return OptionalDouble.of(strength);
  }

  List<CountsShrinkage> targets() {
    return targets;
  }

  /** Whether a fold was asked for, by its number or by the word. */
  boolean isHoldOutGiven() {
    return command.commandLine().getParseResult().hasMatchedOption("--hold-out");
  }

  /**
   * The fold to leave out.
   *
   * @param folds number of folds there are
   * @return empty if nothing is left out
   */
  OptionalInt holdOut(int folds) {
    if (holdOut.equals(NONE)) {
      return OptionalInt.empty();
    }

    if (holdOut.equals(LAST)) {
      return folds == 0 ? OptionalInt.empty() : OptionalInt.of(folds - 1);
    }

    int fold = holdOut.matches("\\d{1,4}") ? Integer.parseInt(holdOut) : -1;
    if (fold < 0 || fold >= folds) {
      throw usage(
          "Invalid --hold-out: %s, %s"
              .formatted(
                  holdOut,
                  folds == 0
                      ? "the folder has no folds"
                      : "last, none or 0 to %d".formatted(folds - 1)));
    }

    return OptionalInt.of(fold);
  }

  /** Refuses options that do not go together. */
  void check() {
    shrinkage();
    if (incremental && robust != null) {
      throw usage("Invalid options: --incremental and --robust, expected one of them");
    }

    if (robust != null && (isShrinkageAuto() || shrinkage().orElseThrow() > 0)) {
      throw usage("Invalid options: --robust and --shrinkage, expected one of them");
    }

    if (robust != Robust.WEIGHTED && !weights.isEmpty()) {
      throw usage("Invalid options: --weights without --robust weighted");
    }

    if (!weights.isEmpty()
        && (weights.size() != affinity.size() || weights.stream().anyMatch(w -> !(w > 0)))) {
      throw usage(
          "Invalid --weights: %s, expected a positive number for each of %d folders"
              .formatted(weights, affinity.size()));
    }

    if (isIncremental() && isHoldOutGiven() && !holdOut.equals(NONE)) {
      throw usage("Invalid options: --hold-out and increments, whose prefixes hold every fold");
    }
  }

  private ParameterException usage(String message) {
    return new ParameterException(command.commandLine(), message);
  }

  private static final class TargetConverter implements ITypeConverter<CountsShrinkage> {
    @Override
    public CountsShrinkage convert(String value) {
      return Terminal.option(() -> CountsShrinkage.ofWord(value));
    }
  }
}
