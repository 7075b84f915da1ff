package io.expertatlas.placement.solver;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Topology;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;

/**
 * One solve of a benchmark: what was solved how, and what came out.
 *
 * @param key what was solved how
 * @param status how it ended
 * @param value objective of a token of those fitted; 0 without a placement
 * @param bound no placement has a smaller one
 * @param seconds the solve took
 * @param heldOut objective of a token of those held out; empty if there are none
 * @param gpusPerToken distinct GPUs of a token's choices in a layer, of those fitted
 * @param loadMean hottest GPU over mean, mean over layers, of the tokens fitted
 * @param loadHeldOut the same of the tokens held out, or of those fitted if there are none
 * @param note of the solver
 * @param points the objective over time, each better than the one before
 */
public record BenchmarkRun(
    Key key,
    SolverStatus status,
    double value,
    double bound,
    double seconds,
    OptionalDouble heldOut,
    double gpusPerToken,
    double loadMean,
    double loadHeldOut,
    String note,
    List<Point> points) {
  /** Copies the list. */
  public BenchmarkRun {
    Objects.requireNonNull(key, "key is null");
    Objects.requireNonNull(status, "status is null");
    Objects.requireNonNull(heldOut, "heldOut is null");
    Objects.requireNonNull(note, "note is null");
    points = List.copyOf(points);
  }

  /**
   * What tells a run from all others.
   *
   * @param dataset its name
   * @param tokens fitted
   * @param heldOutTokens 0 if there are none
   * @param topology the cluster
   * @param objective what is minimised
   * @param maxLoad most load of a layer, over the least that is known for it; empty for no cap
   * @param solver its name
   * @param timeLimit of the solve
   * @param threads at most
   * @param seed of everything random
   */
  public record Key(
      String dataset,
      long tokens,
      long heldOutTokens,
      Topology topology,
      Objective objective,
      OptionalDouble maxLoad,
      String solver,
      Duration timeLimit,
      int threads,
      long seed) {}

  /**
   * A moment of a solve.
   *
   * @param seconds since it began
   * @param value objective of a token
   */
  public record Point(double seconds, double value) {}

  /** {@code (value - bound) / value}. */
  public double gap() {
    return value == 0 ? 0 : (value - bound) / value;
  }

  /** Seconds until the objective was at most {@code target}; infinite if it never was. */
  public double secondsTo(double target) {
    for (Point point : points) {
      if (point.value() <= target) {
        return point.seconds();
      }
    }

    return status.hasPlacement() && value <= target ? seconds : Double.POSITIVE_INFINITY;
  }
}
