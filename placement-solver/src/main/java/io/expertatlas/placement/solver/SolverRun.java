package io.expertatlas.placement.solver;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import java.util.Optional;
import java.util.function.Function;

/** One solve in progress: its clock, its progress, and the outcomes it can end with. */
public final class SolverRun {
  private final String solver;
  private final PlacementProblem problem;
  private final SolverConfig config;
  private final Chain chain;
  private final long startNanos = System.nanoTime();

  private SolverRun(String solver, PlacementProblem problem, SolverConfig config) {
    this.solver = solver;
    this.problem = problem;
    this.config = config;
    this.chain = Chain.of(problem);
  }

  /**
   * Solves a problem, unless its bounds allow no placement or the warm start does not fit it.
   *
   * @param solver the solver's name
   * @param body the solve itself
   */
  public static SolverOutcome of(
      String solver,
      PlacementProblem problem,
      SolverConfig config,
      Function<SolverRun, SolverOutcome> body) {
    SolverRun run = new SolverRun(solver, problem, config);
    if (!problem.isFeasible()) {
      return run.unsolved(
          SolverStatus.INFEASIBLE,
          "%d experts do not fit on %d GPUs with %s"
              .formatted(problem.shape().experts(), problem.topology().gpus(), problem.balance()));
    }

    if (config.warmStart().isPresent() && !problem.hasSlotsFor(config.warmStart().get())) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "the warm start is not a placement of %s on %s with %s"
              .formatted(problem.shape(), problem.topology(), problem.balance()));
    }

    return body.apply(run);
  }

  /**
   * The same for a solver that knows hops and crossings alone, without caps on load or totals: for
   * other problems it is unsupported.
   */
  public static SolverOutcome ofPairs(
      String solver,
      PlacementProblem problem,
      SolverConfig config,
      Function<SolverRun, SolverOutcome> body) {
    return of(
        solver,
        problem,
        config,
        run ->
            run.chain().prices().hasLayerTerms() || !problem.caps().isNone()
                ? run.unsolved(
                    SolverStatus.UNSUPPORTED,
                    "%s minimises hops or crossings without caps, asked is %s with %s"
                        .formatted(
                            solver,
                            problem.objective().word(),
                            problem.caps().isNone() ? "no caps" : "caps"))
                : body.apply(run));
  }

  /**
   * The same for a solver that also splits equal nodes at the usual costs: other clusters are
   * unsupported.
   */
  public static SolverOutcome ofUsualPairs(
      String solver,
      PlacementProblem problem,
      SolverConfig config,
      Function<SolverRun, SolverOutcome> body) {
    Topology topology = problem.topology();
    return ofPairs(
        solver,
        problem,
        config,
        run ->
            topology.hasEqualNodes() && topology.hasUsualCosts()
                ? body.apply(run)
                : run.unsolved(
                    SolverStatus.UNSUPPORTED,
                    "%s needs equal nodes and hops of cost 1 and 2, the cluster %s has %s"
                        .formatted(
                            solver,
                            topology,
                            topology.hasEqualNodes() ? "other costs" : "unequal nodes")));
  }

  /** The solver's name. */
  public String name() {
    return solver;
  }

  /** The problem. */
  public PlacementProblem problem() {
    return problem;
  }

  /** How to solve it. */
  public SolverConfig config() {
    return config;
  }

  /** The problem's chain. */
  public Chain chain() {
    return chain;
  }

  /** The map of the warm start, which may be above the caps. */
  public Optional<int[][]> warmStart() {
    return config.warmStart().map(Placement::toArray);
  }

  /** Since the solve began. */
  public double seconds() {
    return (System.nanoTime() - startNanos) / 1e9;
  }

  /** Until the time limit, at least 0. */
  public double secondsLeft() {
    return Math.max(0, config.timeLimit().toNanos() / 1e9 - seconds());
  }

  /** Whether the time limit has passed, or the solve was told to stop. */
  public boolean isTimeUp() {
    return secondsLeft() <= 0 || config.isStopped().getAsBoolean();
  }

  /** Reports progress. */
  public void report(String step, long objective, long bound) {
    config.progress().accept(new SolverProgress(step, objective, bound, seconds()));
  }

  /**
   * A placement, optimal if its objective meets the bound. One that is above a cap is none: then
   * the outcome is unknown, and its note says which cap and by how much.
   */
  public SolverOutcome solved(int[][] map, long bound, String note) {
    Placement placement = Chain.placement(problem, map);
    if (!problem.caps().isNone()) {
      Optional<String> violation =
          problem.caps().violation(PlacementCost.of(problem.counts(), placement));
      if (violation.isPresent()) {
        return unsolved(
            SolverStatus.UNKNOWN,
            "no placement within the caps was found; of the best one, " + violation.get());
      }
    }

    long objective = chain.cost(map);
    return new SolverOutcome(
        solver,
        objective == bound ? SolverStatus.OPTIMAL : SolverStatus.FEASIBLE,
        Optional.of(placement),
        objective,
        bound,
        seconds(),
        config.seed(),
        note);
  }

  /** No placement. */
  public SolverOutcome unsolved(SolverStatus status, String note) {
    return new SolverOutcome(
        solver, status, Optional.empty(), 0, 0, seconds(), config.seed(), note);
  }
}
