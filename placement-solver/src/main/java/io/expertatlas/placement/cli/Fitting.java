package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.placement.CountsShrinkage;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.CrossValidation;
import io.expertatlas.placement.solver.Incremental;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverProgress;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.placement.solver.WorstCase;
import io.expertatlas.placement.solver.WorstCase.Result;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Supplier;

/**
 * Solves for the counts as they are, for shrunken ones, for several traces or for increments, and
 * tells in table and JSON what the plan was fitted on and what others pay under it.
 */
final class Fitting {
  /** The file beside {@code placement.json}. */
  static final String FILE = "fit.json";

  private static final int FORMAT_VERSION = 1;

  private final FitOptions options;
  private final FitInput input;
  private final PrintWriter err;
  private Optional<CrossValidation.Result> validation = Optional.empty();
  private double strength;
  private Optional<Result> robust = Optional.empty();

  private Fitting(FitOptions options, FitInput input, PrintWriter err) {
    this.options = options;
    this.input = input;
    this.err = err;
  }

  /** Reads what the options name. */
  static Fitting of(FitOptions options, PrintWriter err) {
    options.check();
    return new Fitting(options, FitInput.read(options), err);
  }

  /** What is fitted on. */
  RouteCounts counts() {
    return input.fit();
  }

  /**
   * Solves a problem of {@link #counts}.
   *
   * @param solver of the placement
   * @param quick of the many solves of cross-validation and of several traces, which need no proof
   *     beyond what is there at once
   * @return its objective and bound are those of the counts as they are
   */
  SolverOutcome solve(
      PlacementSolver solver, PlacementSolver quick, PlacementProblem problem, SolverConfig config)
      throws IOException {
    if (options.isRobust()) {
      return solveRobust(quick, problem, config);
    }

    strength = strength(quick, problem, config);
    if (strength > 0) {
      checkPairs(problem);
    }

    if (!options.isIncremental()) {
      SolverOutcome outcome = solver.solve(shrunken(problem), shrunken(config, problem));
      return strength == 0 || outcome.placement().isEmpty()
          ? outcome
          : onCounts(
              outcome.placement().get(),
              problem,
              outcome,
              "pair counts shrunken by %s toward %s, solved with gap %.1f %%"
                  .formatted(strength, words(options.targets()), 100 * outcome.gap()));
    }

    List<Supplier<RouteCounts>> prefixes = new ArrayList<>();
    for (Path folder : options.folders().subList(0, options.folders().size() - 1)) {
      prefixes.add(() -> prefix(folder, problem));
    }

    prefixes.add(problem::counts);
    return Incremental.solve(solver, prefixes, problem.topology(), problem.objective(), config);
  }

  private PlacementProblem shrunken(PlacementProblem problem) {
    return strength == 0
        ? problem
        : new PlacementProblem(
            CountsShrinkage.shrink(problem.counts(), options.targets(), strength),
            problem.topology(),
            problem.objective(),
            problem.slots(),
            problem.caps());
  }

  /** Tells of progress in tokens, whatever the units of the counts. */
  private SolverConfig shrunken(SolverConfig config, PlacementProblem problem) {
    long scale = strength == 0 ? 1 : CountsShrinkage.scale(problem.counts());
    return scale == 1
        ? config
        : config.withProgress(
            step ->
                config
                    .progress()
                    .accept(
                        new SolverProgress(
                            step.step(),
                            step.objective() / scale,
                            step.bound() / scale,
                            step.seconds())));
  }

  private double strength(PlacementSolver solver, PlacementProblem problem, SolverConfig config)
      throws IOException {
    OptionalDouble given = options.shrinkage();
    if (given.isPresent()) {
      return given.getAsDouble();
    }

    checkPairs(problem);
    List<RouteCounts> parts = input.validationParts();
    err.printf(
        "Shrinkage toward %s by cross-validation over %d parts: held-out %s a token%n",
        words(options.targets()), parts.size(), problem.objective().word());
    err.flush();
    CrossValidation.Result result =
        CrossValidation.choose(
            solver,
            parts,
            problem,
            List.of(options.targets()),
            config.withProgress(step -> {}),
            candidate -> {
              err.printf("  %.2f: %.4f%n", candidate.strength(), candidate.heldOut());
              err.flush();
            });
    validation = Optional.of(result);
    return result.chosen().strength();
  }

  private static void checkPairs(PlacementProblem problem) {
    if (problem.objective() != Objective.HOPS && problem.objective() != Objective.CROSSINGS
        || problem.caps().hasTotals()) {
      throw new IllegalArgumentException(
          "Cannot shrink the counts for objective %s%s: pairs of layers are shrunken, for hops or crossings without caps on totals"
              .formatted(
                  problem.objective().word(),
                  problem.caps().hasTotals() ? " with caps on totals" : ""));
    }
  }

  private SolverOutcome solveRobust(
      PlacementSolver solver, PlacementProblem problem, SolverConfig config) {
    long begin = System.nanoTime();
    if (!problem.caps().isNone()) {
      throw new IllegalArgumentException(
          "Cannot place for several traces with caps: a cap is of one trace");
    }

    List<RouteCounts> traces = input.traces().stream().map(FitInput.Trace::fit).toList();
    SolverConfig silent = config.withProgress(step -> {});
    Result result =
        options.robust() == FitOptions.Robust.WEIGHTED
            ? WorstCase.weighted(
                solver, traces, options.weights(), counts -> like(problem, counts), silent)
            : WorstCase.worst(solver, traces, counts -> like(problem, counts), silent);
    robust = Optional.of(result);
    SolverOutcome outcome =
        new SolverOutcome(
            solver.name(),
            SolverStatus.UNKNOWN,
            Optional.empty(),
            0,
            0,
            (System.nanoTime() - begin) / 1e9,
            config.seed(),
            "");
    return onCounts(
        result.placement(),
        problem,
        outcome,
        "%s cost of %d traces %.4f, bound %.4f, %d solves"
            .formatted(
                options.robust() == FitOptions.Robust.WEIGHTED ? "mean" : "worst",
                traces.size(),
                result.value(),
                result.bound(),
                result.solves()));
  }

  private static PlacementProblem like(PlacementProblem problem, RouteCounts counts) {
    return new PlacementProblem(
        counts, problem.topology(), problem.objective(), problem.slots(), problem.caps());
  }

  /** A plan that was found for other counts, with the objective and a bound of these. */
  private static SolverOutcome onCounts(
      Placement plan, PlacementProblem problem, SolverOutcome found, String note) {
    long objective = problem.objective().total(PlacementCost.of(problem.counts(), plan));
    long bound =
        Math.min(
            objective,
            PlacementSolvers.find("vanilla").solve(problem, SolverConfig.DEFAULT).bound());
    return new SolverOutcome(
        found.solver(),
        objective == bound ? SolverStatus.OPTIMAL : SolverStatus.FEASIBLE,
        Optional.of(plan),
        objective,
        bound,
        found.seconds(),
        found.seed(),
        found.note().isEmpty() ? note : note + "; " + found.note());
  }

  private static RouteCounts prefix(Path folder, PlacementProblem problem) {
    RouteCounts counts = AffinityFiles.read(folder);
    if (!counts.shape().equals(problem.shape())) {
      throw new AffinityFormatException(
          "Cannot use %s: it is of %s, the last folder of %s"
              .formatted(folder, counts.shape(), problem.shape()));
    }

    return counts;
  }

  private static String words(List<CountsShrinkage> targets) {
    return String.join(" and ", targets.stream().map(CountsShrinkage::word).toList());
  }

  /**
   * Prints what the tokens pay that the plans were not fitted on, beside those that they were.
   *
   * @param plans by name
   */
  void print(List<HeldOutTable.Plan> plans) {
    if (validation.isPresent()) {
      err.printf("Chosen shrinkage: %.2f%n", strength);
    }

    if (robust.isPresent()) {
      err.printf(
          "%s: %.4f, no placement below %.4f%n",
          options.robust() == FitOptions.Robust.WEIGHTED ? "Weighted mean" : "Worst trace",
          robust.get().value(),
          robust.get().bound());
      for (int i = 0; i < input.traces().size(); i++) {
        err.printf(
            "  %s: %.4f a token%n", input.traces().get(i).folder(), robust.get().costs().get(i));
      }
    }

    Optional<RouteCounts> heldOut = input.heldOut();
    if (heldOut.isPresent()) {
      err.printf(
          "Held out: %d tokens, of %s; fitted on %d%n%s",
          heldOut.get().tokens(),
          foldInWords(),
          input.fit().tokens(),
          HeldOutTable.of(plans, input.fit(), heldOut.get()));
    } else {
      err.println("On the tokens it was fitted on. Score it on others with: atlas evaluate");
    }

    err.flush();
  }

  private String foldInWords() {
    FitInput.Trace first = input.traces().get(0);
    return "fold %d of 0 to %d".formatted(first.fold().orElseThrow(), first.fitFolds().size());
  }

  /** Adds what there is to tell to the object of {@code --json}. */
  void addTo(ObjectNode node, Placement plan) {
    if (isNoteworthy()) {
      node.setAll(node(plan));
    }
  }

  /** Whether there is more to tell than that all counts were fitted as they are. */
  boolean isNoteworthy() {
    return input.heldOut().isPresent()
        || strength > 0
        || validation.isPresent()
        || robust.isPresent();
  }

  /** The file {@link #FILE}. */
  byte[] file(Placement plan) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("format-version", FORMAT_VERSION);
    root.setAll(node(plan));
    return (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
  }

  private ObjectNode node(Placement plan) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("fitted-tokens", input.fit().tokens());
    ArrayNode traces = root.putArray("traces");
    for (int i = 0; i < input.traces().size(); i++) {
      FitInput.Trace trace = input.traces().get(i);
      ObjectNode one = traces.addObject();
      one.put("affinity", trace.folder().toString());
      trace.fold().ifPresent(fold -> one.put("held-out-fold", fold));
      one.set("in-sample", cost(trace.fit(), plan));
      trace.heldOut().ifPresent(counts -> one.set("held-out", cost(counts, plan)));
      if (options.robust() == FitOptions.Robust.WEIGHTED) {
        one.put("weight", options.weights().get(i));
      }
    }

    input.heldOut().ifPresent(counts -> root.set("held-out", cost(counts, plan)));
    if (strength > 0 || validation.isPresent()) {
      ObjectNode shrinkage = root.putObject("shrinkage");
      ArrayNode targets = shrinkage.putArray("toward");
      options.targets().forEach(target -> targets.add(target.word()));
      shrinkage.put("strength", strength);
      validation.ifPresent(
          result -> {
            ArrayNode tried = shrinkage.putArray("cross-validation");
            for (CrossValidation.Candidate candidate : result.candidates()) {
              tried
                  .addObject()
                  .put("strength", candidate.strength())
                  .put("held-out", candidate.heldOut());
            }
          });
    }

    robust.ifPresent(
        result -> {
          ObjectNode node = root.putObject("robust");
          node.put("mode", options.robust() == FitOptions.Robust.WEIGHTED ? "weighted" : "worst");
          node.put("value", result.value());
          node.put("bound", result.bound());
          node.put("solves", result.solves());
        });
    return root;
  }

  private static ObjectNode cost(RouteCounts counts, Placement plan) {
    PlacementCost cost = PlacementCost.of(counts, plan);
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("tokens", cost.tokens());
    node.put("hops", cost.hopsPerToken());
    node.put("crossings", cost.crossingsPerToken());
    node.put("inter-node", cost.interNodePerToken());
    node.put("gpus-per-token", cost.gpusPerToken());
    node.put("nodes-per-token", cost.nodesPerToken());
    node.put("load-mean-max-over-mean", cost.loadMeanMaxOverMean());
    node.put("load-worst-max-over-mean", cost.loadWorstMaxOverMean());
    return node;
  }
}
