package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.MovePlan;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.cli.MoveOptions.Terms;
import io.expertatlas.placement.search.MovingSearch;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * A placement that trades what its hops save against what it costs to get there from the present
 * one, with the moves in a safe order. All in bytes over the horizon.
 *
 * @param terms of hops and moves
 * @param stay the present placement
 * @param wanted the placement with the fewest hops, its GPUs renamed to move least
 * @param chosen the best of all by bytes, or the present one if it saves too little
 * @param plan the moves to the chosen one
 */
record Moving(Terms terms, Option stay, Option wanted, Option chosen, MovePlan plan) {
  /** The file of the moves. */
  static final String FILE = "moves.json";

  private static final int FORMAT_VERSION = 1;
  private static final double UNITS = 1024; // of the price of a move, in a hop

  /**
   * A placement to go to.
   *
   * @param placement it
   * @param hops of a token
   * @param moved experts that would change their GPU
   * @param bytes of hops and moves over the horizon
   */
  record Option(Placement placement, double hops, long moved, double bytes) {}

  /**
   * Chooses.
   *
   * @param problem for which {@code best} was found
   * @param config its time limit is for this search
   * @throws IllegalArgumentException if the objective is neither hops nor crossings
   */
  static Moving choose(
      PlacementProblem problem,
      Placement present,
      Placement best,
      Terms terms,
      SolverConfig config) {
    if (problem.objective() != Objective.HOPS && problem.objective() != Objective.CROSSINGS) {
      throw new IllegalArgumentException(
          "Cannot price moves against %s: hops or crossings".formatted(problem.objective().word()));
    }

    Chain chain = Chain.of(problem, new Prices((long) UNITS, 0, 0, 0));
    double tokens = Math.max(1, problem.counts().tokens());
    double price =
        UNITS * tokens * terms.expertBytes() / ((double) terms.hopBytes() * terms.horizon());
    MovingSearch search =
        new MovingSearch(chain, present.toArray(), (long) Math.min(Math.rint(price), 1L << 40));
    long end = System.nanoTime() + config.timeLimit().toNanos();
    int[][] found =
        search.run(
            best.toArray(),
            config.seed(),
            () -> System.nanoTime() > end || config.isStopped().getAsBoolean());
    Option stay = option(problem, present, present, terms);
    Option wanted =
        option(problem, present, Chain.placement(problem, search.renamed(best.toArray())), terms);
    Option cheapest = option(problem, present, Chain.placement(problem, found), terms);
    boolean isWorthIt =
        cheapest.bytes() < stay.bytes()
            && stay.bytes() - cheapest.bytes() >= terms.minGain() * stay.bytes();
    Option chosen = isWorthIt ? cheapest : stay;
    return new Moving(
        terms,
        stay,
        wanted,
        chosen,
        MovePlan.between(present, chosen.placement(), problem.slots(), terms.staging()));
  }

  private static Option option(
      PlacementProblem problem, Placement present, Placement placement, Terms terms) {
    PlacementCost cost = PlacementCost.of(problem.counts(), placement);
    double perToken =
        problem.objective().total(cost) / (double) Math.max(1, problem.counts().tokens());
    long moved = 0;
    for (int layer = 0; layer < placement.layers(); layer++) {
      for (int expert = 0; expert < placement.experts(); expert++) {
        moved += placement.gpu(layer, expert) == present.gpu(layer, expert) ? 0 : 1;
      }
    }

    return new Option(
        placement,
        perToken,
        moved,
        perToken * terms.horizon() * terms.hopBytes() + (double) moved * terms.expertBytes());
  }

  /** The chosen placement as the outcome of the whole; the bound on hops is that of the solver. */
  SolverOutcome outcome(PlacementProblem problem, SolverOutcome fewest) {
    long objective =
        problem.objective().total(PlacementCost.of(problem.counts(), chosen.placement()));
    return new SolverOutcome(
        fewest.solver(),
        objective == fewest.bound() ? SolverStatus.OPTIMAL : SolverStatus.FEASIBLE,
        Optional.of(chosen.placement()),
        objective,
        Math.min(objective, fewest.bound()),
        fewest.seconds(),
        fewest.seed(),
        (stays() ? "the present placement stays" : "moves weighed")
            + (fewest.note().isEmpty() ? "" : "; " + fewest.note()));
  }

  /** Whether the present placement is kept. */
  boolean stays() {
    return chosen.moved() == 0;
  }

  /** The three placements as a table in text, and what the moves are like. */
  String table() {
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            Locale.ROOT,
            "Moving, over %,d tokens: a hop sends %,d bytes, an expert is %,d bytes%n%-8s  %9s  %7s"
                + "  %12s  %12s  %9s%n",
            terms.horizon(),
            terms.hopBytes(),
            terms.expertBytes(),
            "plan",
            "hops/tok",
            "moved",
            "hops, GB",
            "moves, GB",
            "saved"));
    row(text, "stay", stay);
    row(text, "fewest", wanted);
    row(text, "chosen", chosen);
    text.append(
        stays()
            ? String.format(
                Locale.ROOT,
                "The present placement stays: moving would save less than %.1f %%%n",
                100 * terms.minGain())
            : String.format(
                Locale.ROOT,
                "%d steps, %d transfers%s%n",
                plan.steps().size(),
                plan.transfers(),
                staged()));
    return text.toString();
  }

  private String staged() {
    long staged = plan.steps().stream().filter(MovePlan.Step::isStaged).count();
    if (terms.staging() == MovePlan.Staging.SWAP) {
      return ": experts on full GPUs are exchanged";
    }

    return staged == 0
        ? ""
        : ": %d cycles of full GPUs are broken through a staging slot".formatted(staged);
  }

  private void row(StringBuilder text, String name, Option option) {
    double hops = option.hops() * terms.horizon() * terms.hopBytes();
    text.append(
        String.format(
            Locale.ROOT,
            "%-8s  %9.4f  %7d  %12.3f  %12.3f  %+8.1f %%%n",
            name,
            option.hops(),
            option.moved(),
            hops / 1e9,
            (option.bytes() - hops) / 1e9,
            stay.bytes() == 0 ? 0 : 100 * (stay.bytes() - option.bytes()) / stay.bytes()));
  }

  /** What was chosen and why, without the steps. */
  ObjectNode node() {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("horizon", terms.horizon());
    root.put("expert-bytes", terms.expertBytes());
    root.put("hop-bytes", terms.hopBytes());
    root.put("min-gain", terms.minGain());
    root.put("staging", terms.staging().name().toLowerCase(Locale.ROOT));
    root.put("stays", stays());
    for (String name : List.of("stay", "fewest", "chosen")) {
      Option option = name.equals("stay") ? stay : name.equals("fewest") ? wanted : chosen;
      ObjectNode one = root.putObject(name);
      one.put("objective-per-token", option.hops());
      one.put("moved", option.moved());
      one.put("bytes", option.bytes());
    }

    root.put("transfers", plan.transfers());
    return root;
  }

  /** The file {@link #FILE}. */
  byte[] file() {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("format-version", FORMAT_VERSION);
    root.setAll(node());
    ArrayNode steps = root.putArray("steps");
    for (MovePlan.Step step : plan.steps()) {
      ObjectNode one = steps.addObject();
      one.put("layer", step.layer());
      one.put("expert", step.expert());
      one.put("from", step.from());
      one.put("to", step.to());
      if (step.back() >= 0) {
        one.put("back", step.back());
      }

      if (step.isStaged()) {
        one.put("staged", true);
      }
    }

    return (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
  }
}
