package io.expertatlas.placement.solver;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;

/** The solvers on the class path. */
public final class PlacementSolvers {
  private PlacementSolvers() {}

  /** Every solver, by name. */
  public static List<PlacementSolver> all() {
    List<PlacementSolver> solvers = new ArrayList<>();
    ServiceLoader.load(PlacementSolver.class).forEach(solvers::add);
    solvers.sort(Comparator.comparing(PlacementSolver::name));
    return List.copyOf(solvers);
  }

  /**
   * The solver of a name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static PlacementSolver find(String name) {
    List<PlacementSolver> all = all();
    return all.stream()
        .filter(solver -> solver.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "Invalid solver: %s, one of %s"
                        .formatted(
                            name,
                            String.join(", ", all.stream().map(PlacementSolver::name).toList()))));
  }
}
