package io.expertatlas.placement.cli;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.json.BenchmarkBounds;
import io.expertatlas.placement.search.GreedyLoadSolver;
import io.expertatlas.placement.search.ProvenBound;
import io.expertatlas.placement.solver.BenchmarkBound;
import io.expertatlas.placement.solver.BenchmarkBound.Key;
import io.expertatlas.placement.solver.BenchmarkRun;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SolverConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * The bounds of a benchmark, each proven once for all solvers and seeds of an instance and kept in
 * {@code bounds.jsonl}.
 *
 * <p>Under a cap on load the caps of the runs differ a little, as each run looks for the least load
 * itself. None finds more than the longest-first rule, so the bound is for caps over that.
 */
final class BenchmarkProofs {
  private static final String FILE = "bounds.jsonl";

  private final Path file;
  private final Duration limit;
  private final OptionalDouble maxLoad;
  private final int threads;
  private final List<BenchmarkBound> known;

  /**
   * Reads what is known.
   *
   * @param folder of the benchmark
   * @param limit of each bound; zero for none
   * @param maxLoad the cap of all instances
   */
  BenchmarkProofs(Path folder, Duration limit, OptionalDouble maxLoad, int threads)
      throws IOException {
    this.file = folder.resolve(FILE);
    this.limit = limit;
    this.maxLoad = maxLoad;
    this.threads = threads;
    this.known = new ArrayList<>(BenchmarkBounds.read(file));
  }

  /** Whether there are any to prove. */
  boolean isAsked() {
    return !limit.isZero();
  }

  /**
   * The bound of an instance; empty if none is asked for, or its runs have proven their best plan
   * optimal.
   *
   * @param runs all that are known; those of other instances are left aside
   */
  Optional<BenchmarkBound> of(String dataset, PlacementProblem problem, List<BenchmarkRun> runs)
      throws IOException {
    long tokens = problem.counts().tokens();
    Key key =
        new Key(dataset, tokens, problem.topology(), problem.objective(), maxLoad, limit, threads);
    double best = Double.POSITIVE_INFINITY;
    double bound = 0;
    for (BenchmarkRun run : runs) {
      if (key.isOf(run.key()) && run.status().hasPlacement()) {
        best = Math.min(best, run.value());
        bound = Math.max(bound, run.bound());
      }
    }

    if (!isAsked() || bound >= best) {
      return Optional.empty();
    }

    Optional<BenchmarkBound> old = known.stream().filter(one -> one.key().equals(key)).findFirst();
    if (old.isPresent()) {
      return old;
    }

    long reached =
        Double.isInfinite(best) ? Long.MAX_VALUE : Math.round(best * Math.max(1, tokens));
    ProvenBound proven =
        ProvenBound.of(capped(problem), reached, limit, threads, () -> false, value -> {});
    BenchmarkBound made =
        new BenchmarkBound(
            key, proven.value() / (double) Math.max(1, tokens), proven.method(), proven.seconds());
    known.add(made);
    BenchmarkBounds.write(known, file);
    return Optional.of(made);
  }

  private PlacementProblem capped(PlacementProblem problem) {
    if (maxLoad.isEmpty()) {
      return problem;
    }

    PlacementProblem load = problem.withObjective(Objective.LOAD);
    int[][] even =
        new GreedyLoadSolver()
            .solve(load, SolverConfig.DEFAULT)
            .placement()
            .orElseThrow()
            .toArray();
    Chain chain = Chain.of(load);
    long[] caps = new long[even.length];
    for (int layer = 0; layer < caps.length; layer++) {
      caps[layer] =
          (long) Math.floor(maxLoad.getAsDouble() * chain.hottest(layer, even[layer]) + 1e-9);
    }

    return problem.withCaps(Caps.NONE.withLoad(caps));
  }
}
