package io.expertatlas.placement.solver;

import io.expertatlas.placement.Placement;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * How to solve.
 *
 * @param timeLimit of the whole solve; the best placement found by then is the outcome
 * @param stepLimit most steps of a search, a step being 1024 proposed changes or one start; {@code
 *     Long.MAX_VALUE} for any number. A solve that ends by it gives the same plan for the same
 *     seed, whatever the number of threads
 * @param seed of everything random
 * @param threads worker threads at most; above 1, a solve that ends by its time limit may give
 *     another plan each time
 * @param warmStart a placement to start from
 * @param progress called with each improvement, on any thread
 * @param isStopped whether to end as if time were up; asked often, on any thread
 */
public record SolverConfig(
    Duration timeLimit,
    long stepLimit,
    long seed,
    int threads,
    Optional<Placement> warmStart,
    Consumer<SolverProgress> progress,
    BooleanSupplier isStopped) {
  /** 60 seconds, any number of steps, seed 1, one thread, no warm start, silent, never stopped. */
  public static final SolverConfig DEFAULT =
      new SolverConfig(
          Duration.ofSeconds(60), Long.MAX_VALUE, 1, 1, Optional.empty(), step -> {}, () -> false);

  /**
   * Checks the values.
   *
   * @throws IllegalArgumentException if a limit or the number of threads is not positive
   */
  public SolverConfig {
    Objects.requireNonNull(warmStart, "warmStart is null");
    Objects.requireNonNull(progress, "progress is null");
    Objects.requireNonNull(isStopped, "isStopped is null");
    if (timeLimit.isNegative() || timeLimit.isZero()) {
      throw new IllegalArgumentException(
          "Invalid time limit: %s, it must be positive".formatted(timeLimit));
    }

    if (stepLimit < 1) {
      throw new IllegalArgumentException("Invalid step limit: %d, at least 1".formatted(stepLimit));
    }

    if (threads < 1) {
      throw new IllegalArgumentException(
          "Invalid number of threads: %d, at least 1".formatted(threads));
    }
  }

  /** The same with another time limit. */
  public SolverConfig withTimeLimit(Duration limit) {
    return new SolverConfig(limit, stepLimit, seed, threads, warmStart, progress, isStopped);
  }

  /** The same with another limit on steps. */
  public SolverConfig withStepLimit(long limit) {
    return new SolverConfig(timeLimit, limit, seed, threads, warmStart, progress, isStopped);
  }

  /** The same with another seed. */
  public SolverConfig withSeed(long other) {
    return new SolverConfig(timeLimit, stepLimit, other, threads, warmStart, progress, isStopped);
  }

  /** The same on another number of threads. */
  public SolverConfig withThreads(int count) {
    return new SolverConfig(timeLimit, stepLimit, seed, count, warmStart, progress, isStopped);
  }

  /** The same with a placement to start from. */
  public SolverConfig withWarmStart(Placement start) {
    return new SolverConfig(
        timeLimit, stepLimit, seed, threads, Optional.of(start), progress, isStopped);
  }

  /** The same with another receiver of progress. */
  public SolverConfig withProgress(Consumer<SolverProgress> receiver) {
    return new SolverConfig(timeLimit, stepLimit, seed, threads, warmStart, receiver, isStopped);
  }

  /** The same with a signal to end. */
  public SolverConfig withStop(BooleanSupplier signal) {
    return new SolverConfig(timeLimit, stepLimit, seed, threads, warmStart, progress, signal);
  }
}
