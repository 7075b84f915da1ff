package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.format.LayerRows;
import io.expertatlas.placement.format.PlacementFormat;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What {@code place} tells of the placement that it chose, beside the baselines. */
final class PlaceReport {
  /** Solvers whose placements stand beside the one chosen. */
  static final List<String> BASELINES = List.of("vanilla", "random", "greedy-load");

  private final PlacementProblem problem;
  private final SolverOutcome outcome;
  private final PlacementCost cost;
  private final Fitting fitting;
  private final AimReport aimed;
  private final Optional<Moving> moving;
  private final List<CostTable.Row> rows = new ArrayList<>();
  private final List<HeldOutTable.Plan> plans = new ArrayList<>();

  /**
   * Solves the baselines.
   *
   * @param outcome has a placement
   * @param cost of that placement
   * @param others more rows of the table, after the baselines
   * @param seed of the random baseline
   */
  PlaceReport(
      PlacementProblem problem,
      SolverOutcome outcome,
      PlacementCost cost,
      Fitting fitting,
      AimReport aimed,
      Optional<Moving> moving,
      List<CostTable.Row> others,
      long seed) {
    this.problem = problem;
    this.outcome = outcome;
    this.cost = cost;
    this.fitting = fitting;
    this.aimed = aimed;
    this.moving = moving;
    for (String name : BASELINES) {
      Placement baseline =
          PlacementSolvers.find(name)
              .solve(problem, SolverConfig.DEFAULT.withSeed(seed))
              .placement()
              .orElseThrow();
      rows.add(new CostTable.Row(name, PlacementCost.of(problem.counts(), baseline)));
      plans.add(new HeldOutTable.Plan(name, baseline));
    }

    rows.addAll(others);
    if (!BASELINES.contains(outcome.solver())) {
      rows.add(new CostTable.Row(outcome.solver(), cost));
      plans.add(new HeldOutTable.Plan(outcome.solver(), placement()));
    }
  }

  private Placement placement() {
    return outcome.placement().orElseThrow();
  }

  /** Prints tables, and how to load the files of engines that were written. */
  void print(PrintWriter err, List<PlacementFormat> exports, LayerRows layers) {
    err.printf(
        "%s in %.1f s, seed %d: %s %d, bound %d, gap %.1f %%%s%n",
        outcome.status().word(),
        outcome.seconds(),
        outcome.seed(),
        problem.objective().word(),
        outcome.objective(),
        outcome.bound(),
        100 * outcome.gap(),
        outcome.note().isEmpty() ? "" : " (" + outcome.note() + ")");
    err.print(CostTable.of(rows, rows.get(0).cost()));
    if (cost.estimated()) {
      err.println("~ estimated: pairs of experts do not tell which copy a token is on");
    }

    if (placement().hasCopies()) {
      err.println("Experts have copies: no csv was written, as ExFlow's has no place for them");
    }

    aimed.print(err, cost, rows);
    RelabelOffer.print(err, "this placement", problem.counts().transitions(), placement());
    if (!exports.isEmpty()) {
      err.printf("Files of engines, %s%n", layers.inWords());
      for (PlacementFormat format : exports) {
        err.printf("  %s: %s%n", format.name(), format.loading());
      }
    }

    fitting.print(plans);
    moving.ifPresent(moves -> err.print(moves.table()));
    err.flush();
  }

  /** The same as one JSON object. */
  ObjectNode node(
      Path output, boolean hasRedundant, List<PlacementFormat> exports, LayerRows layers) {
    ObjectNode node = CostJson.node(new CostTable.Row(outcome.solver(), cost), rows.get(0).cost());
    node.put("output", output.toString());
    node.put("objective", problem.objective().word());
    node.put("status", outcome.status().word());
    node.put("total-objective", outcome.objective());
    node.put("total-bound", outcome.bound());
    node.put("gap", outcome.gap());
    node.put("seconds", outcome.seconds());
    node.put("seed", outcome.seed());
    node.put("note", outcome.note());
    if (hasRedundant) {
      node.put("redundant", placement().slots(0) - cost.shape().experts());
    }

    aimed.addTo(node, cost);
    fitting.addTo(node, placement());
    moving.ifPresent(moves -> node.set("moving", moves.node()));
    if (!exports.isEmpty()) {
      node.put("model-layers-known", layers.isKnown());
      ArrayNode written = node.putArray("exports");
      exports.forEach(format -> written.add(format.fileName()));
    }

    return node;
  }
}
