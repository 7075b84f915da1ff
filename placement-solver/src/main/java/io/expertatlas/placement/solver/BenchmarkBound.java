package io.expertatlas.placement.solver;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Topology;
import java.time.Duration;
import java.util.Objects;
import java.util.OptionalDouble;

/**
 * A bound on one instance of a benchmark: for all its solvers and seeds.
 *
 * @param key of what, and how hard it was tried
 * @param value no placement has a smaller objective of a token
 * @param method how it was proven, in words
 * @param seconds that took
 */
public record BenchmarkBound(Key key, double value, String method, double seconds) {
  /** Checks that nothing is missing. */
  public BenchmarkBound {
    Objects.requireNonNull(key, "key is null");
    Objects.requireNonNull(method, "method is null");
  }

  /**
   * What tells a bound from all others.
   *
   * @param dataset its name
   * @param tokens fitted
   * @param topology the cluster
   * @param objective what is minimised
   * @param maxLoad most load of a layer, over the least that is known for it; empty for no cap
   * @param limit on the time to prove it
   * @param threads at most
   */
  public record Key(
      String dataset,
      long tokens,
      Topology topology,
      Objective objective,
      OptionalDouble maxLoad,
      Duration limit,
      int threads) {
    /** Whether it is of the problem that a run solved. */
    public boolean isOf(BenchmarkRun.Key run) {
      return dataset.equals(run.dataset())
          && tokens == run.tokens()
          && topology.equals(run.topology())
          && objective == run.objective()
          && maxLoad.equals(run.maxLoad());
    }
  }
}
