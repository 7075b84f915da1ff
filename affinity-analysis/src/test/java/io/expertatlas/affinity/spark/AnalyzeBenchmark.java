package io.expertatlas.affinity.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.trace.Datasets;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import io.expertatlas.trace.terminal.StageProgress;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * Compares ways to count the routes of one file: a plain C loop over the mapped file (left out if
 * there is no {@code cc}), a single-threaded Java loop, the Spark job from {@code .npy} and from a
 * dataset, and the SQL that a user would write. All must agree on the counts they share:
 * popularity, first-choice transitions, weighted pairs, co-activation. The job also counts the
 * distinct expert sets, which one of the two C loops does too, and checks every id.
 *
 * <p>Medians of interleaved runs on one warm JVM, in ns a transition (a token from one layer to the
 * next), marginal between two sizes so that what a run costs anyway cancels: wall time, and CPU
 * time of all threads, which on a shared machine is the steadier. Run with
 *
 * <pre>
 * mvn -B -q -Dquick -pl affinity-analysis -am test -Dtest=AnalyzeBenchmark \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Danalyze.benchmark=4000000
 * cat affinity-analysis/target/surefire-reports/*AnalyzeBenchmark-output.txt
 * </pre>
 */
final class AnalyzeBenchmark {
  private static final String C = "plain C loop";
  private static final String C_WITH_SETS = "plain C loop, with sets";
  private static final int RUNS = 5;
  private static final int SQL_RUNS = 3;
  private static final ModelShape SMALL = new ModelShape(12, 8, 2);
  private static final ModelShape WIDE = new ModelShape(26, 64, 6);

  @TempDir private Path temp;

  /** One way to count. */
  private interface Way {
    /** Counts a trace and tells its own times, or empty: measure me. */
    SharedCounts count(Trace trace) throws Exception;
  }

  /** A trace in its forms. */
  record Trace(ModelShape shape, int tokens, Path npy, Path dataset) {
    static Trace draw(Path folder, ModelShape shape, int tokens) throws IOException {
      RoutingTrace trace = SyntheticTrace.draw(shape, tokens, 512, 0.5, 1);
      String name = "t%d-%d".formatted(shape.experts(), tokens);
      Path npy = folder.resolve(name + ".npy");
      PlainLoops.write(npy, shape, bytes(trace), 1);
      Path dataset = folder.resolve(name);
      Datasets.write(dataset, trace, Math.max(1, tokens / 2));
      return new Trace(shape, tokens, npy, dataset);
    }

    double transitions() {
      return (double) tokens * (shape.layers() - 1);
    }
  }

  static byte[] bytes(RoutingTrace trace) {
    ModelShape shape = trace.shape();
    byte[] bytes = new byte[trace.tokens() * shape.choicesPerToken()];
    int at = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          bytes[at++] = (byte) trace.expert(token, layer, rank);
        }
      }
    }

    return bytes;
  }

  static SparkSession spark(int cores) {
    return SparkSession.builder()
        .master("local[%d]".formatted(cores))
        .config("spark.ui.enabled", false)
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "localhost")
        .getOrCreate();
  }

  static SharedCounts job(SparkSession spark, Path trace, OptionalInt experts) {
    TraceSource source =
        new TraceSource(
            trace,
            experts.isPresent() ? "npy" : "dataset",
            experts,
            Optional.empty(),
            Optional.empty());
    return SharedCounts.of(
        new AnalyzeJob(JavaSparkContext.fromSparkContext(spark.sparkContext()), StageProgress.NONE)
            .run(source, TokenSelection.ALL));
  }

  private static Map<String, Way> sparkWays(SparkSession spark) {
    Map<String, Way> ways = new LinkedHashMap<>();
    ways.put("job, .npy", trace -> job(spark, trace.npy, OptionalInt.of(trace.shape.experts())));
    ways.put("job, dataset", trace -> job(spark, trace.dataset, OptionalInt.empty()));
    return ways;
  }

  /** The C loops, without and with sets; none if there is no {@code cc}. */
  private Map<String, Path> compiled(ModelShape shape) throws Exception {
    Map<String, Path> loops = new LinkedHashMap<>();
    PlainLoops.compile(shape, false, temp).ifPresent(c -> loops.put(C, c));
    PlainLoops.compile(shape, true, temp).ifPresent(c -> loops.put(C_WITH_SETS, c));
    return loops;
  }

  private static long distinctSets(Trace trace) {
    try (TraceReader reader =
        TraceFormat.openTrace(TraceSource.of(trace.npy).withExperts(trace.shape.experts()))) {
      return InMemoryEstimator.count(reader).expertSets().stream().mapToLong(List::size).sum();
    }
  }

  @Test
  void allWaysAgreeOnSmallTraces() throws Exception {
    try (SparkSession spark = spark(2)) {
      for (ModelShape shape :
          List.of(SMALL, WIDE, new ModelShape(1, 3, 3), new ModelShape(3, 1, 1))) {
        Trace trace = Trace.draw(temp, shape, 700);
        SharedCounts expected = PlainLoops.java(shape, trace.npy, trace.tokens);
        for (Map.Entry<String, Way> way : sparkWays(spark).entrySet()) {
          assertThat(way.getValue().count(trace)).as(way.getKey()).isEqualTo(expected);
        }

        assertThat(UserSql.count(spark, shape, trace.dataset)).as("SQL").isEqualTo(expected);
        long sets = distinctSets(trace);
        for (Map.Entry<String, Path> c : compiled(shape).entrySet()) {
          PlainLoops.Run run = PlainLoops.c(c.getValue(), shape, trace.npy, trace.tokens);
          assertThat(run.counts()).as(c.getKey()).isEqualTo(expected);
          assertThat(run.distinctSets()).isEqualTo(c.getKey().equals(C_WITH_SETS) ? sets : 0);
        }

        Files.delete(trace.npy);
      }
    }
  }

  @Test
  @EnabledIfSystemProperty(named = "analyze.benchmark", matches = "\\d+")
  void jobAgainstPlainLoopsAndSql() throws Exception {
    int tokens = Integer.getInteger("analyze.benchmark");
    compare(SMALL, tokens);
    compare(WIDE, tokens / 8);
  }

  private void compare(ModelShape shape, int tokens) throws Exception {
    List<Trace> sizes =
        List.of(Trace.draw(temp, shape, tokens / 4), Trace.draw(temp, shape, tokens));
    Times times = new Times();
    Map<String, Path> loops = compiled(shape);
    System.out.printf(
        "%d and %d tokens of %s: ns a transition, marginal; medians of %d runs%n%s",
        tokens / 4, tokens, shape, RUNS, loops.isEmpty() ? "no cc: the C loop is left out\n" : "");
    for (int cores = 1; cores <= 2; cores++) {
      try (SparkSession spark = spark(cores)) {
        Map<String, Way> ways = new LinkedHashMap<>();
        ways.put("plain Java loop", t -> PlainLoops.java(shape, t.npy, t.tokens));
        ways.putAll(sparkWays(spark));
        for (int run = -4; run < RUNS; run++) {
          for (Trace trace : sizes) {
            SharedCounts expected = null;
            for (Map.Entry<String, Path> c : loops.entrySet()) {
              PlainLoops.Run result = PlainLoops.c(c.getValue(), shape, trace.npy, trace.tokens);
              times.add(run, c.getKey(), trace.tokens, result.wallNanos(), result.cpuNanos());
              expected = result.counts();
            }

            for (Map.Entry<String, Way> way : ways.entrySet()) {
              String name =
                  way.getKey()
                      + (way.getKey().startsWith("job") ? ", local[%d]".formatted(cores) : "");
              SharedCounts counts = times.run(run, name, trace, way.getValue());
              expected = expected == null ? counts : expected;
              assertThat(counts).as(name).isEqualTo(expected);
            }
          }
        }

        if (cores == 1) {
          sql(spark, shape, tokens, times);
        }
      }
    }

    String base = loops.isEmpty() ? "plain Java loop" : C;
    for (String name : times.names()) {
      boolean sql = name.startsWith("SQL");
      double gap = (tokens - tokens / 4) / (sql ? part(shape) : 1) * (shape.layers() - 1.0);
      double wall = times.marginal(name, false) / gap;
      double cpu = times.marginal(name, true) / gap;
      double of = times.marginal(base, true) / ((tokens - tokens / 4) * (shape.layers() - 1.0));
      System.out.printf(
          "  %-26s %9.2f wall %9.2f CPU %8.2f x %s%n", name, wall, cpu, cpu / of, base);
    }
  }

  /** SQL gets one of so many tokens. */
  private static int part(ModelShape shape) {
    return 16 * shape.topK() / 2 * shape.topK() / 2;
  }

  private void sql(SparkSession spark, ModelShape shape, int tokens, Times times) throws Exception {
    for (int size : new int[] {tokens / part(shape) / 4, tokens / part(shape)}) {
      Trace trace = Trace.draw(temp, shape, size);
      SharedCounts expected = PlainLoops.java(shape, trace.npy, trace.tokens);
      for (int run = -1; run < SQL_RUNS; run++) {
        SharedCounts counts =
            times.run(run, "SQL, local[1]", trace, t -> UserSql.count(spark, shape, t.dataset));
        assertThat(counts).as("SQL").isEqualTo(expected);
      }
    }
  }

  /** Times of ways at two sizes. */
  private static final class Times {
    private final Map<String, Map<Integer, List<double[]>>> times = new LinkedHashMap<>();

    SharedCounts run(int run, String name, Trace trace, Way way) throws Exception {
      double cpu = cpuNanos();
      long start = System.nanoTime();
      SharedCounts counts = way.count(trace);
      add(run, name, trace.tokens, System.nanoTime() - start, cpuNanos() - cpu);
      return counts;
    }

    void add(int run, String name, int tokens, double wall, double cpu) {
      if (run >= 0) {
        times
            .computeIfAbsent(name, n -> new LinkedHashMap<>())
            .computeIfAbsent(tokens, n -> new ArrayList<>())
            .add(new double[] {wall, cpu});
      }
    }

    List<String> names() {
      return List.copyOf(times.keySet());
    }

    /** Median at the larger size less that at the smaller, in ns. */
    double marginal(String name, boolean cpu) {
      List<Double> medians =
          times.get(name).entrySet().stream()
              .sorted(Map.Entry.comparingByKey())
              .map(
                  size ->
                      size.getValue().stream()
                          .mapToDouble(time -> time[cpu ? 1 : 0])
                          .sorted()
                          .toArray()[size.getValue().size() / 2])
              .toList();
      return medians.get(1) - medians.get(0);
    }

    private static double cpuNanos() {
      return ((com.sun.management.OperatingSystemMXBean)
              ManagementFactory.getOperatingSystemMXBean())
          .getProcessCpuTime();
    }
  }
}
