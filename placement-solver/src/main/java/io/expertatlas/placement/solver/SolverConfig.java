package io.expertatlas.placement.solver;

import io.expertatlas.placement.Placement;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * How to solve.
 *
 * @param timeLimit of the whole solve; the best placement found by then is the outcome
 * @param seed of everything random
 * @param threads worker threads at most; above 1, a solve that ends by its time limit may give
 *     another plan each time
 * @param warmStart a placement to start from
 * @param progress called with each improvement, on any thread
 */
public record SolverConfig(
    Duration timeLimit,
    long seed,
    int threads,
    Optional<Placement> warmStart,
    Consumer<SolverProgress> progress) {
  /** 60 seconds, seed 1, one thread, no warm start, silent. */
  public static final SolverConfig DEFAULT =
      new SolverConfig(Duration.ofSeconds(60), 1, 1, Optional.empty(), step -> {});

  /**
   * Checks the values.
   *
   * @throws IllegalArgumentException if the time limit or the number of threads is not positive
   */
  public SolverConfig {
    Objects.requireNonNull(warmStart, "warmStart is null");
    Objects.requireNonNull(progress, "progress is null");
    if (timeLimit.isNegative() || timeLimit.isZero()) {
      throw new IllegalArgumentException(
          "Invalid time limit: %s, it must be positive".formatted(timeLimit));
    }

    if (threads < 1) {
      throw new IllegalArgumentException(
          "Invalid number of threads: %d, at least 1".formatted(threads));
    }
  }

  /** The same with another time limit. */
  public SolverConfig withTimeLimit(Duration limit) {
    return new SolverConfig(limit, seed, threads, warmStart, progress);
  }

  /** The same with another seed. */
  public SolverConfig withSeed(long other) {
    return new SolverConfig(timeLimit, other, threads, warmStart, progress);
  }

  /** The same with a placement to start from. */
  public SolverConfig withWarmStart(Placement start) {
    return new SolverConfig(timeLimit, seed, threads, Optional.of(start), progress);
  }
}
