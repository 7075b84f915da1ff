package io.expertatlas.placement.cli;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.copies.CopyProblem;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The options for redundant slots: a picocli {@code @Mixin}. */
final class CopyOptions {
  @Option(
      names = "--redundant",
      paramLabel = "R",
      description =
          "Slots of each layer above one for each expert, in all: experts get copies. Solvers auto"
              + " and eplb; experts + R must be a multiple of the GPUs.")
  private Integer redundant;

  @Option(
      names = "--redundant-per-gpu",
      paramLabel = "R",
      description = "The same, for each GPU.")
  private Integer perGpu;

  /**
   * Whether redundant slots are given.
   *
   * @throws ParameterException if they are given in both ways or below 0
   */
  boolean given(CommandSpec command) {
    if (redundant != null && perGpu != null) {
      throw new ParameterException(
          command.commandLine(), "Give --redundant or --redundant-per-gpu, not both");
    }

    Integer value = redundant == null ? perGpu : redundant;
    if (value != null && value < 0) {
      throw new ParameterException(
          command.commandLine(), "Invalid redundant slots: %d, at least 0".formatted(value));
    }

    return value != null;
  }

  /**
   * The problem with redundant slots, if they are given.
   *
   * @throws IllegalArgumentException if the slots do not fill the GPUs equally
   */
  Optional<CopyProblem> problem(PlacementProblem problem) {
    if (redundant != null) {
      return Optional.of(CopyProblem.ofRedundant(problem, redundant));
    }

    return perGpu == null
        ? Optional.empty()
        : Optional.of(
            CopyProblem.ofRedundant(
                problem, Math.multiplyExact(perGpu, problem.topology().gpus())));
  }
}
