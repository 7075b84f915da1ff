package io.expertatlas.placement.cli;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.copies.AimedCopySolver;
import io.expertatlas.placement.copies.CopyProblem;
import io.expertatlas.placement.copies.CopySolver;
import io.expertatlas.placement.solver.Aims;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import java.util.List;
import java.util.function.Consumer;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The options for redundant slots: a picocli {@code @Mixin}. */
final class CopyOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--redundant",
      paramLabel = "R",
      description =
          "Slots of each layer above one for each expert, in all: experts get copies. With solvers"
              + " auto and eplb; experts + R must be a multiple of the GPUs.")
  private Integer redundant;

  @Option(names = "--redundant-per-gpu", paramLabel = "R", description = "The same, for each GPU.")
  private Integer perGpu;

  /** Whether redundant slots are given. */
  boolean given() {
    return redundant != null || perGpu != null;
  }

  /**
   * Refuses what does not go together.
   *
   * @throws ParameterException if slots are given in both ways or below 0, or with another solver,
   *     increments, several objectives or a front
   */
  void check(PlacementSolver solver, Aims aims, boolean isIncremental, boolean isFront) {
    if (redundant != null && perGpu != null) {
      throw usage("Invalid options: --redundant and --redundant-per-gpu, expected one of them");
    }

    if (given() && (redundant == null ? perGpu : redundant) < 0) {
      throw usage(
          "Invalid redundant slots: %d, at least 0"
              .formatted(redundant == null ? perGpu : redundant));
    }

    List<String> able = List.of(CopySolver.AUTO, CopySolver.EPLB);
    if (given() && !able.contains(solver.name())) {
      throw usage(
          "Invalid solver for redundant slots: %s, one of %s"
              .formatted(solver.name(), String.join(", ", able)));
    }

    if (given() && isFront) {
      throw usage("Invalid options: redundant slots and --pareto, expected one of them");
    }

    if (given() && (aims.objectives().size() > 1 || aims.last() == Objective.COPIES)) {
      throw usage(
          "Invalid --objective with redundant slots: %s, one of load, hops, crossings, fanout"
              .formatted(
                  String.join(",", aims.objectives().stream().map(Objective::word).toList())));
    }

    if (given() && isIncremental) {
      throw usage("Invalid options: redundant slots and increments, which start from one another");
    }
  }

  private ParameterException usage(String message) {
    return new ParameterException(command.commandLine(), message);
  }

  /**
   * Slots of a layer in all.
   *
   * @throws IllegalArgumentException if they do not fill the GPUs equally
   */
  int slots(PlacementProblem problem) {
    return given()
        ? CopyProblem.ofRedundant(problem, redundant(problem)).slots()
        : problem.shape().experts();
  }

  private int redundant(PlacementProblem problem) {
    return redundant == null ? Math.multiplyExact(perGpu, problem.topology().gpus()) : redundant;
  }

  /** The slots in words, for tables and logs. */
  String inWords(PlacementProblem problem) {
    return given()
        ? "%d slots of each layer on every GPU, %d redundant ones in all"
            .formatted(slots(problem) / problem.topology().gpus(), redundant(problem))
        : problem.balance();
  }

  /**
   * The solver that deals redundant slots, in place of the one that was asked for.
   *
   * @param groups groups of experts that the router picks from
   * @param watch told the caps of each solve
   */
  PlacementSolver solver(
      PlacementSolver asked,
      PlacementProblem problem,
      int groups,
      Aims aims,
      Consumer<Caps> watch) {
    return new AimedCopySolver(asked.name(), redundant(problem), groups, aims, watch);
  }

  /** The load balancer's plan to compare with; none without redundant slots. */
  List<CostTable.Row> baseline(PlacementSolver solver, PlacementProblem problem, int groups) {
    return !given() || solver.name().equals(CopySolver.EPLB)
        ? List.of()
        : CopySolver.of(CopySolver.EPLB, redundant(problem), groups)
            .solve(problem, SolverConfig.DEFAULT)
            .placement()
            .map(
                plan ->
                    new CostTable.Row(CopySolver.EPLB, PlacementCost.of(problem.counts(), plan)))
            .stream()
            .toList();
  }
}
