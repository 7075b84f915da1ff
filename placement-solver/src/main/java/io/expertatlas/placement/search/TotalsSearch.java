package io.expertatlas.placement.search;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;

/**
 * Minimises hops, fan-out or load under caps on totals of hops and fan-out. Hops and fan-out trade
 * at a price: the lowest price that meets the cap is found by halving, each try a search (or the
 * exact program, if partitions are few) for the weighted sum. Load is lowered in the same way, by
 * halving between what the start has and the least. Exact answers to weighted sums also bound the
 * objective (Lagrange).
 */
final class TotalsSearch {
  private static final int PRICES = 32; // sum of both prices
  private static final int TRIES = 6;
  private static final int PATIENCE = 2;
  private static final int ROUNDS = 4;
  private static final double STEPS_PER_SECOND = 2e8; // of the exact program

  private final PlacementProblem problem;
  private final SolverConfig config;
  private final long startNanos = System.nanoTime();
  private Optional<Placement> best = Optional.empty();
  private long bestTotal = Long.MAX_VALUE;
  private long bound;
  private Placement last; // of the last try, within the caps or not

  private TotalsSearch(PlacementProblem problem, SolverConfig config) {
    this.problem = problem;
    this.config = config;
  }

  /** Whether the objective and the caps on totals are of kinds that it knows. */
  static boolean knows(PlacementProblem problem) {
    Caps caps = problem.caps();
    boolean others =
        caps.total(Objective.CROSSINGS) != Long.MAX_VALUE
            || caps.total(Objective.COPIES) != Long.MAX_VALUE
            || caps.total(Objective.LOAD) != Long.MAX_VALUE;
    return caps.hasTotals()
        && !others
        && problem.objective() != Objective.CROSSINGS
        && problem.objective() != Objective.COPIES;
  }

  /**
   * Searches from a placement.
   *
   * @param start within the slots, and within the caps on load if there are any
   */
  static SolverOutcome solve(
      String name, PlacementProblem problem, SolverConfig config, Placement start) {
    return new TotalsSearch(problem, config).solve(name, start);
  }

  private SolverOutcome solve(String name, Placement start) {
    offer(start);
    last = start;
    try (Workers workers = new Workers(name, config.threads())) {
      if (problem.objective() == Objective.LOAD) {
        lowerLoad(workers);
      } else {
        findPrice(workers);
      }
    }

    if (best.isEmpty()) {
      return outcome(
          name,
          SolverStatus.UNKNOWN,
          "no placement within the caps was found; of the last one, "
              + problem
                  .caps()
                  .violation(PlacementCost.of(problem.counts(), last))
                  .orElse("other slots than asked"));
    }

    bound = Math.max(0, Math.min(bound, bestTotal));
    return outcome(
        name,
        bound == bestTotal ? SolverStatus.OPTIMAL : SolverStatus.FEASIBLE,
        "weighted sums of hops and fan-out under caps");
  }

  private SolverOutcome outcome(String name, SolverStatus status, String note) {
    return new SolverOutcome(
        name,
        status,
        best,
        best.isEmpty() ? 0 : bestTotal,
        best.isEmpty() ? 0 : bound,
        seconds(),
        config.seed(),
        note);
  }

  private double seconds() {
    return (System.nanoTime() - startNanos) / 1e9;
  }

  /** Until when a try may last, so that those left have as much. */
  private double until(int triesLeft) {
    double left = config.timeLimit().toNanos() / 1e9 - seconds();
    return seconds() + Math.max(0, left) / triesLeft;
  }

  /** The lowest price on what is capped that meets the cap. */
  private void findPrice(Workers workers) {
    Objective capped = problem.objective() == Objective.HOPS ? Objective.FANOUT : Objective.HOPS;
    if (capped == Objective.FANOUT) {
      chooseByLayer(workers);
    }

    int low = -1; // too low, or not tried
    int high = PRICES;
    for (int left = TRIES; left > 0 && high - low > 1; left--) {
      int price = left == TRIES && best.isEmpty() ? PRICES - 1 : (low + high) / 2;
      Chain chain = weighted(capped, price, capsOnLoad());
      Placement found = search(chain, until(left), workers, true);
      if (total(capped, found) <= problem.caps().total(capped)) {
        high = Math.min(high, price);
      } else {
        low = Math.max(low, price);
      }
    }
  }

  /** Partitions of low fan-out of each layer, and of them those that hop least within the cap. */
  private void chooseByLayer(Workers workers) {
    double until = until(2);
    BooleanSupplier isTimeUp = () -> seconds() > until || config.isStopped().getAsBoolean();
    Chain touches = weighted(Objective.HOPS, 0, capsOnLoad());
    int[][] start = best.orElse(last).toArray();
    if (!touches.isMetBy(start) || isTimeUp.getAsBoolean()) {
      return;
    }

    FanoutSearch search =
        new FanoutSearch(touches, config.seed() + 1, config.stepLimit(), false, isTimeUp);
    int[][] cheapest = search.run(start, ROUNDS, workers, better -> {});
    long cap = Math.min(problem.caps().total(Objective.FANOUT), Long.MAX_VALUE / (2 * PRICES));
    long room = Math.max(0, cap * PRICES - touches.cost(cheapest));
    double end = until(1);
    FewestHops choice =
        new FewestHops(
            problem, touches, search, () -> seconds() > end || config.isStopped().getAsBoolean());
    offer(new Placement(problem.topology(), choice.of(cheapest, room)));
  }

  private Chain weighted(Objective capped, long price, Caps caps) {
    long hop = capped == Objective.HOPS ? price : PRICES - price;
    long touch = PRICES - hop;
    long node = problem.topology().nodes() > 1 ? touch : 0;
    return Chain.of(
        problem.withObjective(Objective.HOPS).withCaps(caps), new Prices(hop, touch, node, 0));
  }

  private Caps capsOnLoad() {
    long[] load = new long[problem.shape().layers()];
    for (int layer = 0; layer < load.length; layer++) {
      load[layer] = problem.caps().load(layer);
    }

    return problem.caps().hasLoad() ? Caps.NONE.withLoad(load) : Caps.NONE;
  }

  /** The least loads, all raised by one share of what the start has above them, that go. */
  private void lowerLoad(Workers workers) {
    Caps totals = problem.caps();
    boolean hops = totals.total(Objective.HOPS) != Long.MAX_VALUE;
    boolean fanout = totals.total(Objective.FANOUT) != Long.MAX_VALUE;
    int price = hops && fanout ? PRICES / 2 : hops ? PRICES : 0;
    if (best.isEmpty()) {
      search(weighted(Objective.HOPS, price, capsOnLoad()), until(TRIES), workers, false);
    }

    Chain free = Chain.of(problem.withCaps(Caps.NONE));
    int[][] even = LoadBalance.of(free, new SplittableRandom(config.seed()));
    offer(new Placement(problem.topology(), even));
    PlacementCost begin = PlacementCost.of(problem.counts(), best.orElse(last));
    double low = 0;
    double high = 1;
    for (int left = TRIES - 1; left > 0; left--) {
      double share = (low + high) / 2;
      long[] load = new long[problem.shape().layers()];
      for (int layer = 0; layer < load.length; layer++) {
        long least = free.hottest(layer, even[layer]);
        long above = Math.max(0, begin.loads().hottest(layer) - least);
        load[layer] = Math.min(totals.load(layer), least + (long) (share * above));
      }

      Chain chain = weighted(Objective.HOPS, price, Caps.NONE.withLoad(load));
      last = new Placement(problem.topology(), even); // it is within these caps
      Placement found = search(chain, until(left), workers, false);
      boolean fits =
          total(Objective.HOPS, found) <= totals.total(Objective.HOPS)
              && total(Objective.FANOUT, found) <= totals.total(Objective.FANOUT);
      low = fits ? low : share;
      high = fits ? share : high;
    }
  }

  private long total(Objective objective, Placement placement) {
    return objective.total(PlacementCost.of(problem.counts(), placement));
  }

  /** The best map of a chain that can be found from the last placement, by some time. */
  private Placement search(Chain chain, double until, Workers workers, boolean bounds) {
    BooleanSupplier isTimeUp = () -> seconds() > until || config.isStopped().getAsBoolean();
    int[][] start = best.filter(plan -> chain.isMetBy(plan.toArray())).orElse(last).toArray();
    Optional<int[][]> exact = exact(chain, until - seconds(), isTimeUp);
    if (exact.isPresent() && bounds) {
      raiseBound(chain, chain.cost(exact.get()));
    }

    int[][] map =
        exact.isPresent()
            ? exact.get()
            : chain.prices().hop() > 0
                ? new PoolSearch(
                        chain, config.seed(), config.stepLimit(), false, isTimeUp, better -> {})
                    .run(start, PATIENCE, workers)
                : new FanoutSearch(chain, config.seed(), config.stepLimit(), false, isTimeUp)
                    .run(start, ROUNDS, workers, better -> {});
    last = new Placement(problem.topology(), Relabel.of(problem, map));
    offer(last);
    return last;
  }

  private static Optional<int[][]> exact(Chain chain, double seconds, BooleanSupplier isTimeUp) {
    Optional<Viterbi> viterbi = Viterbi.of(chain, isTimeUp);
    boolean fits =
        viterbi.isPresent()
            && viterbi.get().infeasibleLayer().isEmpty()
            && viterbi.get().steps() / STEPS_PER_SECOND < seconds;
    return fits ? viterbi.get().solve() : Optional.empty();
  }

  /** {@code a * objective + b * capped >= least} and {@code capped <= cap} bound the objective. */
  private void raiseBound(Chain chain, long least) {
    boolean hops = problem.objective() == Objective.HOPS;
    long own = hops ? chain.prices().hop() : chain.prices().gpuTouch();
    long other = hops ? chain.prices().gpuTouch() : chain.prices().hop();
    long cap = problem.caps().total(hops ? Objective.FANOUT : Objective.HOPS);
    if (own > 0 && cap < Long.MAX_VALUE / PRICES) {
      bound = Math.max(bound, -Math.floorDiv(other * cap - least, own));
    }
  }

  private void offer(Placement placement) {
    if (!problem.isMetBy(placement)) {
      return;
    }

    long total = problem.objective().total(PlacementCost.of(problem.counts(), placement));
    if (total < bestTotal) {
      best = Optional.of(placement);
      bestTotal = total;
    }
  }
}
