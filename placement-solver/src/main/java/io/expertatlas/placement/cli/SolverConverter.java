package io.expertatlas.placement.cli;

import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.trace.terminal.Terminal;
import picocli.CommandLine.ITypeConverter;

/** Solvers by name. */
final class SolverConverter implements ITypeConverter<PlacementSolver> {
  @Override
  public PlacementSolver convert(String value) {
    return Terminal.option(() -> PlacementSolvers.find(value));
  }
}
