package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.PlacementSolver;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverRun;
import io.expertatlas.placement.solver.SolverStatus;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * The search for layers of many experts: {@link PoolSearch pooled anneals} for hops, {@link
 * FanoutSearch anneals of each layer} for fan-out, and among equal fan-out {@linkplain FewestHops
 * the fewest hops}, {@link LoadBalance} for load. Ends when nothing new comes up, or by a limit; if
 * the time limit is not hit, the same seed gives the same plan, whatever the number of threads.
 */
public final class PoolSolver implements PlacementSolver {
  private static final int PATIENCE = 6; // epochs of a search that improve nothing and end it
  private static final int PATIENT = 64; // experts of all layers for each such epoch, if more
  private static final double CHOOSING = 0.04; // of the time limit, among equal fan-out

  private static final int ROUNDS = 12; // of a fan-out search that improve nothing and end it

  @Override
  public String name() {
    return "pool";
  }

  @Override
  public SolverOutcome solve(PlacementProblem problem, SolverConfig config) {
    return SolverRun.of(name(), problem, config, this::solve);
  }

  private SolverOutcome solve(SolverRun run) {
    Chain chain = run.chain();
    if (run.problem().caps().hasTotals()) {
      return run.unsolved(
          SolverStatus.UNSUPPORTED,
          "pool takes caps on the load of layers only, asked is " + run.problem().caps().inWords());
    }

    long bound = GapBound.of(chain);
    int[][] start = run.warmStart().orElseGet(() -> Starts.vanilla(run.problem()));
    if (chain.prices().hottest() > 0 || !chain.isMetBy(start)) {
      int[][] even = LoadBalance.of(chain, new SplittableRandom(run.config().seed()));
      even = Relabel.of(run.problem(), even);
      for (int layer = 0; layer < chain.layers(); layer++) {
        long hottest = chain.hottest(layer, even[layer]);
        if (hottest > chain.cap(layer)) {
          long least = LayerBound.hottest(chain, layer);
          return run.unsolved(
              least > chain.cap(layer) ? SolverStatus.INFEASIBLE : SolverStatus.UNKNOWN,
              "layer %d: a GPU has at least %d choices, %d in the best placement found, the cap is %d"
                  .formatted(layer, least, hottest, chain.cap(layer)));
        }
      }

      if (chain.prices().hottest() > 0) {
        boolean keep =
            run.warmStart().isPresent()
                && chain.isMetBy(start)
                && chain.cost(start) <= chain.cost(even);
        return run.solved(keep ? start : even, bound, "");
      }

      start = even;
    }

    try (Workers workers = new Workers(name(), run.config().threads())) {
      return chain.prices().hop() > 0
          ? run.solved(pooled(run, start, bound, workers), bound, "")
          : byLayer(run, start, bound, workers);
    }
  }

  private int[][] pooled(SolverRun run, int[][] start, long bound, Workers workers) {
    int slots = run.chain().layers() * start[0].length;
    return new PoolSearch(
            run.chain(),
            run.config().seed(),
            run.config().stepLimit(),
            isAsserting(),
            run::isTimeUp,
            map -> run.report("pool", run.chain().cost(map), bound))
        .run(start, Math.max(PATIENCE, slots / PATIENT), workers);
  }

  private SolverOutcome byLayer(SolverRun run, int[][] start, long bound, Workers workers) {
    Chain chain = run.chain();
    double choosing = CHOOSING * run.config().timeLimit().toNanos() / 1e9;
    FanoutSearch search =
        new FanoutSearch(
            chain,
            run.config().seed(),
            run.config().stepLimit(),
            isAsserting(),
            () -> run.isTimeUp() || run.secondsLeft() < choosing);
    int[][] best =
        search.run(start, ROUNDS, workers, map -> run.report("layers", chain.cost(map), bound));
    long least = chain.cost(best);
    FewestHops choice = new FewestHops(run.problem(), chain, search, run::isTimeUp);
    long room = (long) (FewestHops.EQUAL * least);
    if (run.warmStart().isPresent()) {
      room = Math.min(room, chain.cost(start) - least); // it is not made worse
    }

    int[][] chosen = choice.of(best, least == bound ? 0 : room); // what is proven stays so
    long more = chain.cost(chosen) - least;
    double tokens = Math.max(1, run.problem().counts().tokens());
    String note =
        more == 0
            ? ""
            : String.format(
                Locale.ROOT,
                "fan-out %.4f %% above the least found, for %.3f hops a token instead of %.3f",
                100.0 * more / least,
                choice.hops(chosen) / tokens,
                choice.hops(Relabel.of(run.problem(), best)) / tokens);
    return run.solved(chosen, bound, note);
  }

  private static boolean isAsserting() {
    return Boolean.getBoolean(Sweeps.ASSERT_PROPERTY);
  }
}
