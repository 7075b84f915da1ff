package io.expertatlas.placement.solver;

import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * One placement for several traces: the mean of their costs by weights, or the worst of them. Costs
 * are means over the tokens of a trace, so that long traces do not outweigh short ones.
 *
 * <p>The worst is minimised by multiplicative weights (Arora, Hazan, Kale 2012): solve for a
 * mixture, then raise the share of the traces that the plan serves badly, again and again. The best
 * plan by its worst cost is kept. Every solve also proves something: whatever the shares, no plan's
 * worst cost is below the proven bound of the mixture.
 */
public final class WorstCase {
  private static final int ROUNDS = 12;
  private static final double GREATEST = 1 << 10; // the greatest factor is no less,
  private static final double LEAST = 1 << 6; // nor the least one,
  private static final double MOST_TOKENS =
      1L << 45; // unless the tokens of the mixture are too many
  private static final long LEAST_MILLIS = 100;

  private WorstCase() {}

  /**
   * One placement and what each trace pays.
   *
   * @param placement the plan
   * @param costs {@code [trace]} objective of a token
   * @param value what was minimised: the weighted mean or the worst of the costs
   * @param bound no placement has a smaller value
   * @param solves how many mixtures were solved
   */
  public record Result(
      Placement placement, List<Double> costs, double value, double bound, int solves) {
    /** Copies the list. */
    public Result {
      costs = List.copyOf(costs);
    }
  }

  /**
   * Minimises the weighted mean of the costs, the weights rounded to about six bits or more.
   *
   * @param weights {@code [trace]} positive; only their proportions count
   * @param problem makes the problem of a mixture
   * @throws IllegalStateException if the solver gives no placement
   */
  public static Result weighted(
      PlacementSolver solver,
      List<RouteCounts> traces,
      List<Double> weights,
      Function<RouteCounts, PlacementProblem> problem,
      SolverConfig config) {
    double[] shares = weights.stream().mapToDouble(Double::doubleValue).toArray();
    long[] factors = factors(traces, shares);
    SolverOutcome outcome = solved(solver, traces, factors, problem, config);
    double[] costs = costs(traces, outcome.placement().orElseThrow(), objective(traces, problem));
    double value = mean(traces, factors, costs);
    return new Result(
        outcome.placement().orElseThrow(),
        boxed(costs),
        value,
        Math.min(value, bound(traces, factors, outcome)),
        1);
  }

  /**
   * Minimises the worst cost.
   *
   * @param problem makes the problem of a mixture
   * @param config its time limit is for all of it
   * @throws IllegalStateException if the solver gives no placement
   */
  public static Result worst(
      PlacementSolver solver,
      List<RouteCounts> traces,
      Function<RouteCounts, PlacementProblem> problem,
      SolverConfig config) {
    Objective objective = objective(traces, problem);
    int rounds = traces.size() == 1 ? 1 : ROUNDS;
    SolverConfig each =
        config.withTimeLimit(
            Duration.ofMillis(Math.max(LEAST_MILLIS, config.timeLimit().toMillis() / rounds)));
    double[] shares = new double[traces.size()];
    Arrays.fill(shares, 1.0 / shares.length);
    double rate = Math.sqrt(8 * Math.log(shares.length) / rounds);
    Optional<Placement> best = Optional.empty();
    double[] bestCosts = {};
    double worst = Double.POSITIVE_INFINITY;
    double bound = 0;
    int solves = 0;
    for (int round = 0; round < rounds; round++) {
      if (config.isStopped().getAsBoolean() && best.isPresent() || bound >= worst) {
        break;
      }

      long[] factors = factors(traces, shares);
      SolverConfig own = best.isEmpty() ? each : each.withWarmStart(best.get());
      SolverOutcome outcome = solved(solver, traces, factors, problem, own);
      double[] costs = costs(traces, outcome.placement().orElseThrow(), objective);
      double most = Arrays.stream(costs).max().orElseThrow();
      double least = Arrays.stream(costs).min().orElseThrow();
      solves++;
      bound = Math.max(bound, bound(traces, factors, outcome));
      if (most < worst) {
        worst = most;
        best = outcome.placement();
        bestCosts = costs;
      }

      double range = Math.max(most - least, 1e-9 * Math.max(1, most));
      double sum = 0;
      for (int trace = 0; trace < shares.length; trace++) {
        shares[trace] *= Math.exp(rate * (costs[trace] - least) / range);
        sum += shares[trace];
      }

      for (int trace = 0; trace < shares.length; trace++) {
        shares[trace] /= sum;
      }
    }

    return new Result(best.orElseThrow(), boxed(bestCosts), worst, Math.min(worst, bound), solves);
  }

  private static Objective objective(
      List<RouteCounts> traces, Function<RouteCounts, PlacementProblem> problem) {
    return problem.apply(traces.get(0)).objective();
  }

  private static SolverOutcome solved(
      PlacementSolver solver,
      List<RouteCounts> traces,
      long[] factors,
      Function<RouteCounts, PlacementProblem> problem,
      SolverConfig config) {
    SolverOutcome outcome = solver.solve(problem.apply(CountsMixture.of(traces, factors)), config);
    if (outcome.placement().isEmpty()) {
      throw new IllegalStateException(
          "Cannot place for %d traces with %s: %s, %s"
              .formatted(traces.size(), outcome.solver(), outcome.status().word(), outcome.note()));
    }

    return outcome;
  }

  /** Whole numbers in the proportion of {@code share / tokens}. */
  static long[] factors(List<RouteCounts> traces, double[] shares) {
    double[] exact = new double[shares.length];
    double greatest = 0;
    double least = Double.POSITIVE_INFINITY;
    double sum = 0;
    for (int trace = 0; trace < exact.length; trace++) {
      exact[trace] = shares[trace] / Math.max(1, traces.get(trace).tokens());
      greatest = Math.max(greatest, exact[trace]);
      least = exact[trace] > 0 ? Math.min(least, exact[trace]) : least;
      sum += shares[trace];
    }

    double scale = Math.min(Math.max(GREATEST / greatest, LEAST / least), MOST_TOKENS / sum);
    return Arrays.stream(exact).mapToLong(factor -> Math.round(factor * scale)).toArray();
  }

  private static double[] costs(
      List<RouteCounts> traces, Placement placement, Objective objective) {
    double[] costs = new double[traces.size()];
    for (int trace = 0; trace < costs.length; trace++) {
      costs[trace] =
          objective.total(PlacementCost.of(traces.get(trace), placement))
              / (double) Math.max(1, traces.get(trace).tokens());
    }

    return costs;
  }

  /** The mean cost of a token of the mixture. */
  private static double mean(List<RouteCounts> traces, long[] factors, double[] costs) {
    double sum = 0;
    for (int trace = 0; trace < costs.length; trace++) {
      sum += (double) factors[trace] * traces.get(trace).tokens() * costs[trace];
    }

    return sum / tokens(traces, factors);
  }

  /** The proven bound on the mean cost of a token of the mixture. */
  private static double bound(List<RouteCounts> traces, long[] factors, SolverOutcome outcome) {
    return outcome.bound() / tokens(traces, factors);
  }

  private static double tokens(List<RouteCounts> traces, long[] factors) {
    double tokens = 0;
    for (int trace = 0; trace < factors.length; trace++) {
      tokens += (double) factors[trace] * traces.get(trace).tokens();
    }

    return Math.max(1, tokens);
  }

  private static List<Double> boxed(double[] values) {
    return Arrays.stream(values).boxed().toList();
  }
}
