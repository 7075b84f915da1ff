package io.expertatlas.placement.solver;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Topology;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.ToDoubleFunction;

/**
 * Runs of a benchmark, put together by instance and solver: medians over the seeds.
 *
 * @param instances in the order of their first run
 */
public record BenchmarkSummary(List<BenchmarkSummary.Instance> instances) {
  /** Copies the list. */
  public BenchmarkSummary {
    instances = List.copyOf(instances);
  }

  /**
   * A problem and what the solvers made of it.
   *
   * @param dataset its name
   * @param tokens fitted
   * @param topology the cluster
   * @param objective what is minimised
   * @param maxLoad most load of a layer, over the least that is known for it; empty for no cap
   * @param best the least value of any run
   * @param bound the greatest bound of any run, or proven for the instance
   * @param proof of the bound of the instance; empty if none was made, or a run's is greater
   * @param solvers in the order of their first run
   */
  public record Instance(
      String dataset,
      long tokens,
      Topology topology,
      Objective objective,
      OptionalDouble maxLoad,
      double best,
      double bound,
      Optional<BenchmarkBound> proof,
      List<Solver> solvers) {
    /** Copies the list. */
    public Instance {
      solvers = List.copyOf(solvers);
    }

    /** How the bound of the instance was proven, in words; empty if it is the solvers' own. */
    public String proofInWords() {
      return proof
          .map(one -> String.format(Locale.ROOT, " (%s, %.1f s)", one.method(), one.seconds()))
          .orElse("");
    }

    /** The instance in words. */
    public String words() {
      return "%s, %s, %s%s"
          .formatted(
              dataset,
              topology,
              objective.word(),
              maxLoad.isPresent() ? ", load at most %s".formatted(maxLoad.getAsDouble()) : "");
    }

    /** {@code (best - bound) / best}. */
    public double gap() {
      return gap(best);
    }

    /** {@code (value - bound) / value}. */
    public double gap(double value) {
      return value == 0 ? 0 : (value - bound) / value;
    }
  }

  /**
   * What one solver did, medians over the runs that gave a placement.
   *
   * @param name with the time limit in seconds, threads if above 1
   * @param runs all of them
   * @param solved those with a placement; if 0, all that follows is 0
   * @param value objective of a token
   * @param worst value of any seed
   * @param heldOut of the tokens held out
   * @param gpusPerToken distinct GPUs of a token's choices in a layer
   * @param loadMean hottest GPU over mean
   * @param loadHeldOut the same held out
   * @param seconds of the whole solve
   * @param secondsToOnePercent until 1 % above the best of the instance; infinite if never
   * @param typical the run whose value is the median, or the one below it
   */
  public record Solver(
      String name,
      int runs,
      int solved,
      double value,
      double worst,
      OptionalDouble heldOut,
      double gpusPerToken,
      double loadMean,
      double loadHeldOut,
      double seconds,
      double secondsToOnePercent,
      BenchmarkRun typical) {}

  private record InstanceKey(
      String dataset,
      long tokens,
      long heldOut,
      Topology topology,
      Objective objective,
      OptionalDouble maxLoad) {}

  /**
   * Puts runs together.
   *
   * @param bounds of any of their instances
   */
  public static BenchmarkSummary of(List<BenchmarkRun> runs, List<BenchmarkBound> bounds) {
    Map<InstanceKey, List<BenchmarkRun>> byInstance = new LinkedHashMap<>();
    for (BenchmarkRun run : runs) {
      BenchmarkRun.Key key = run.key();
      byInstance
          .computeIfAbsent(
              new InstanceKey(
                  key.dataset(),
                  key.tokens(),
                  key.heldOutTokens(),
                  key.topology(),
                  key.objective(),
                  key.maxLoad()),
              other -> new ArrayList<>())
          .add(run);
    }

    List<Instance> instances = new ArrayList<>();
    byInstance.forEach((key, own) -> instances.add(instance(key, own, bounds)));
    return new BenchmarkSummary(instances);
  }

  private static Instance instance(
      InstanceKey key, List<BenchmarkRun> runs, List<BenchmarkBound> bounds) {
    double best =
        runs.stream()
            .filter(run -> run.status().hasPlacement())
            .mapToDouble(BenchmarkRun::value)
            .min()
            .orElse(0);
    double ofRuns = runs.stream().mapToDouble(BenchmarkRun::bound).max().orElse(0);
    Optional<BenchmarkBound> proof =
        bounds.stream()
            .filter(one -> one.key().isOf(runs.get(0).key()) && one.value() > ofRuns)
            .max(Comparator.comparingDouble(BenchmarkBound::value));
    Map<String, List<BenchmarkRun>> bySolver = new LinkedHashMap<>();
    for (BenchmarkRun run : runs) {
      bySolver.computeIfAbsent(name(run.key()), other -> new ArrayList<>()).add(run);
    }

    List<Solver> solvers = new ArrayList<>();
    bySolver.forEach((name, own) -> solvers.add(solver(name, own, best)));
    return new Instance(
        key.dataset(),
        key.tokens(),
        key.topology(),
        key.objective(),
        key.maxLoad(),
        best,
        proof.map(BenchmarkBound::value).orElse(ofRuns),
        proof,
        solvers);
  }

  private static String name(BenchmarkRun.Key key) {
    String seconds =
        BigDecimal.valueOf(key.timeLimit().toMillis(), 3).stripTrailingZeros().toPlainString();
    return "%s@%ss%s"
        .formatted(key.solver(), seconds, key.threads() == 1 ? "" : " x" + key.threads());
  }

  private static Solver solver(String name, List<BenchmarkRun> all, double best) {
    List<BenchmarkRun> runs =
        all.stream()
            .filter(run -> run.status().hasPlacement())
            .sorted(Comparator.comparingDouble(BenchmarkRun::value))
            .toList();
    if (runs.isEmpty()) {
      return new Solver(
          name,
          all.size(),
          0,
          0,
          0,
          OptionalDouble.empty(),
          0,
          0,
          0,
          0,
          Double.POSITIVE_INFINITY,
          all.get(0));
    }

    return new Solver(
        name,
        all.size(),
        runs.size(),
        median(runs, BenchmarkRun::value),
        runs.get(runs.size() - 1).value(),
        runs.stream().allMatch(run -> run.heldOut().isPresent())
            ? OptionalDouble.of(median(runs, run -> run.heldOut().getAsDouble()))
            : OptionalDouble.empty(),
        median(runs, BenchmarkRun::gpusPerToken),
        median(runs, BenchmarkRun::loadMean),
        median(runs, BenchmarkRun::loadHeldOut),
        median(runs, BenchmarkRun::seconds),
        median(runs, run -> run.secondsTo(1.01 * best)),
        runs.get((runs.size() - 1) / 2));
  }

  /** The middle value, or the mean of the two in the middle. */
  private static double median(List<BenchmarkRun> runs, ToDoubleFunction<BenchmarkRun> value) {
    double[] sorted = runs.stream().mapToDouble(value).sorted().toArray();
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
