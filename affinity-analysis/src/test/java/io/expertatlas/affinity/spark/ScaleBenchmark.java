package io.expertatlas.affinity.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.GarbageCollectionNotificationInfo;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.RouteCounter;
import io.expertatlas.affinity.TokenGroups;
import io.expertatlas.trace.Datasets;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import io.expertatlas.trace.terminal.StageProgress;
import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryUsage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import javax.management.ListenerNotFoundException;
import javax.management.Notification;
import javax.management.NotificationEmitter;
import javax.management.NotificationListener;
import javax.management.openmbean.CompositeData;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * How the job's time grows with the trace, how much memory it takes, and what uneven input costs. A
 * transition is a token from one layer to the next; the trace of 12 layers x 8 experts, top-2, is a
 * drawn one, written so many times over to the temporary folder (25 bytes a token at most, removed
 * at the end). Every run's counts are compared with those of the drawn trace, so many times.
 *
 * <p>CPU time is of all threads, the heap is the largest that was in use after a collection during
 * the run. {@code analyze.scale} is the largest number of transitions, {@code analyze.skew} the
 * tokens of uneven input. Run with
 *
 * <pre>
 * mvn -B -q -Dquick -pl affinity-analysis -am test -Dtest=ScaleBenchmark \\
 *     -Dsurefire.failIfNoSpecifiedTests=false -Danalyze.scale=1000000000 -Danalyze.skew=80000000
 * cat affinity-analysis/target/surefire-reports/*ScaleBenchmark-output.txt
 * </pre>
 */
final class ScaleBenchmark {
  private static final ModelShape SHAPE = new ModelShape(12, 8, 2);
  private static final int GAPS = SHAPE.layers() - 1;
  private static final int DRAWN_TOKENS = 90_910; // 10^6 transitions
  private static final int SMALL_FILES = 10_000;
  private static final int RUNS = 3;
  private static final AnalysisPlan LOCALITY =
      new AnalysisPlan(0, List.of(), true, TokenGroups.NONE);

  @TempDir private Path temp;

  /** What a run took. */
  private record Cost(double wallNanos, double cpuNanos, long heapBytes) {}

  @Test
  void smallTracesCountRight() throws Exception {
    try (SparkSession spark = AnalyzeBenchmark.spark(2)) {
      growth(spark, 1_000_000);
      skew(spark, 100_000, 100);
    }
  }

  @Test
  @EnabledIfSystemProperty(named = "analyze.scale", matches = "\\d+")
  void timeAndMemoryOverTransitions() throws Exception {
    try (SparkSession spark = AnalyzeBenchmark.spark(2)) {
      growth(spark, Long.getLong("analyze.scale"));
    }
  }

  @Test
  @EnabledIfSystemProperty(named = "analyze.skew", matches = "\\d+")
  void unevenInput() throws Exception {
    try (SparkSession spark = AnalyzeBenchmark.spark(2)) {
      skew(spark, Long.getLong("analyze.skew"), SMALL_FILES);
    }
  }

  private void growth(SparkSession spark, long most) throws Exception {
    RoutingTrace drawn = SyntheticTrace.draw(SHAPE, DRAWN_TOKENS, 512, 0.5, 1);
    byte[] bytes = AnalyzeBenchmark.bytes(drawn);
    SharedCounts once = count(drawn);
    System.out.println("transitions   form      wall s   ns wall   ns CPU   heap MiB");
    for (long transitions = 1_000_000; transitions <= most; transitions *= 10) {
      int times = (int) (transitions / 1_000_000);
      Path npy = temp.resolve("trace.npy");
      PlainLoops.write(npy, SHAPE, bytes, times);
      TraceSource raw = TraceSource.of(npy).withExperts(SHAPE.experts());
      print(transitions, ".npy", median(spark, raw, AnalysisPlan.PLAIN, once.times(times)));
      Files.delete(npy);

      Path dataset = temp.resolve("dataset");
      int batch = Math.min(times, 10); // parts of a million tokens, as ingest writes large traces
      Datasets.writeRepeated(dataset, repeated(drawn, batch), batch * DRAWN_TOKENS, times / batch);
      TraceSource folder = TraceSource.of(dataset);
      print(transitions, "dataset", median(spark, folder, AnalysisPlan.PLAIN, once.times(times)));
      delete(dataset);
    }
  }

  private static void print(long transitions, String form, Cost cost) {
    System.out.printf(
        "%11d   %-7s %8.2f %9.2f %8.2f %10.0f%n",
        transitions,
        form,
        cost.wallNanos / 1e9,
        cost.wallNanos / transitions,
        cost.cpuNanos / transitions,
        cost.heapBytes / 1048576.0);
  }

  /** Even input against uneven input of as many tokens. */
  private void skew(SparkSession spark, long tokens, int files) throws Exception {
    int fileTokens = (int) Math.max(1, tokens / files);
    int evenTokens = fileTokens * (files / 10); // ten even parts
    RoutingTrace small = SyntheticTrace.draw(SHAPE, fileTokens, 512, 0.5, 1);
    SharedCounts expected = count(small).times(files);
    long all = (long) fileTokens * files;
    System.out.printf(
        "%d tokens, ns CPU a token, median of %d; %d tokens in each small file%n",
        all, RUNS, fileTokens);
    RoutingTrace even = repeated(small, files / 10);
    Path folder = temp.resolve("even");
    Datasets.writeRepeated(folder, even, evenTokens, 10);
    double base =
        perToken(median(spark, TraceSource.of(folder), AnalysisPlan.PLAIN, expected), all);
    delete(folder);
    System.out.printf("  ten even parts             %8.1f%n", base);

    folder = temp.resolve("many");
    Datasets.writeRepeated(folder, small, fileTokens, files);
    double many =
        perToken(median(spark, TraceSource.of(folder), AnalysisPlan.PLAIN, expected), all);
    System.out.printf("  %6d small parts         %8.1f %6.2f x even%n", files, many, many / base);
    delete(folder);

    folder = temp.resolve("giant");
    Datasets.writeGiant(folder, even, 10);
    double giant =
        perToken(median(spark, TraceSource.of(folder), AnalysisPlan.PLAIN, expected), all);
    System.out.printf("  one giant part             %8.1f %6.2f x even%n", giant, giant / base);
    delete(folder);

    // it takes ten times as long as counting: a tenth of the tokens, in ten parts
    SharedCounts tenth = count(small).times(files / 10);
    int partTokens = (evenTokens + 9) / 10;
    double[] cost = new double[2];
    for (int i = 0; i < cost.length; i++) {
      folder = temp.resolve("locality");
      Datasets.write(folder, i == 0 ? even : unequal(even), partTokens);
      cost[i] = perToken(median(spark, TraceSource.of(folder), LOCALITY, tenth), evenTokens);
      delete(folder);
    }

    System.out.printf("  --locality, even           %8.1f%n", cost[0]);
    System.out.printf(
        "  --locality, unequal        %8.1f %6.2f x even%n", cost[1], cost[1] / cost[0]);
  }

  private static double perToken(Cost cost, long tokens) {
    return cost.cpuNanos / tokens;
  }

  /** The same choices in sequences of 1 to 100,000 tokens, most of them short. */
  private static RoutingTrace unequal(RoutingTrace trace) {
    SplittableRandom random = new SplittableRandom(7);
    int[] sequence = new int[trace.tokens()];
    int[] position = new int[trace.tokens()];
    int id = 0;
    for (int token = 0; token < trace.tokens(); id++) {
      int length = (int) Math.pow(10, 5 * random.nextDouble());
      for (int i = 0; i < length && token < trace.tokens(); i++, token++) {
        sequence[token] = id;
        position[token] = i;
      }
    }

    return RoutingTrace.of(
        SHAPE, choices(trace, 1), new float[0], sequence, position, new byte[trace.tokens()]);
  }

  private static RoutingTrace repeated(RoutingTrace trace, int times) {
    int[] sequence = new int[trace.tokens() * times];
    int[] position = new int[sequence.length];
    for (int i = 0; i < sequence.length; i++) {
      sequence[i] = trace.sequence(i % trace.tokens());
      position[i] = trace.position(i % trace.tokens());
    }

    return RoutingTrace.of(
        SHAPE, choices(trace, times), new float[0], sequence, position, new byte[sequence.length]);
  }

  private static short[] choices(RoutingTrace trace, int times) {
    byte[] bytes = AnalyzeBenchmark.bytes(trace);
    short[] choices = new short[bytes.length * times];
    for (int i = 0; i < choices.length; i++) {
      choices[i] = bytes[i % bytes.length];
    }

    return choices;
  }

  private static SharedCounts count(RoutingTrace trace) {
    RouteCounter counter = new RouteCounter(trace.shape());
    counter.add(trace);
    return SharedCounts.of(counter.counts());
  }

  /** Runs the job, checks its counts, and tells the run of median CPU time. */
  private static Cost median(
      SparkSession spark, TraceSource source, AnalysisPlan plan, SharedCounts expected) {
    Cost[] costs = new Cost[RUNS];
    for (int run = -1; run < RUNS; run++) {
      Peak peak = new Peak();
      double cpu = cpuNanos();
      long start = System.nanoTime();
      SharedCounts counts =
          SharedCounts.of(
              new AnalyzeJob(
                      JavaSparkContext.fromSparkContext(spark.sparkContext()), StageProgress.NONE)
                  .analyze(source, TokenSelection.ALL, plan)
                  .counts());
      double wall = System.nanoTime() - start;
      assertThat(counts).as("%s", source.path()).isEqualTo(expected);
      if (run >= 0) {
        costs[run] = new Cost(wall, cpuNanos() - cpu, peak.stop());
      }
    }

    Arrays.sort(costs, (a, b) -> Double.compare(a.cpuNanos, b.cpuNanos));
    return costs[RUNS / 2];
  }

  private static double cpuNanos() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }

  /** Listens to collections for the heap that is left in use. */
  private static final class Peak {
    private final NotificationListener listener = (note, hand) -> heard(note);
    private long bytes;

    Peak() {
      System.gc(); // what earlier runs left does not count
      for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
        ((NotificationEmitter) collector).addNotificationListener(listener, null, null);
      }
    }

    private synchronized void heard(Notification note) {
      long used =
          GarbageCollectionNotificationInfo.from((CompositeData) note.getUserData())
              .getGcInfo()
              .getMemoryUsageAfterGc()
              .entrySet()
              .stream()
              .filter(pool -> pool.getKey().startsWith("G1"))
              .map(Map.Entry::getValue)
              .mapToLong(MemoryUsage::getUsed)
              .sum();
      bytes = Math.max(bytes, used);
    }

    /** The largest, in bytes; a last collection sees to it that there is one. */
    synchronized long largest() {
      return bytes;
    }

    long stop() {
      System.gc();
      for (int i = 0; i < 100 && largest() == 0; i++) { // notifications come a little later
        try {
          Thread.sleep(10);
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          break;
        }
      }

      for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
        try {
          ((NotificationEmitter) collector).removeNotificationListener(listener);
        } catch (ListenerNotFoundException e) {
          throw new IllegalStateException(e);
        }
      }

      return largest();
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }

    Files.delete(folder);
  }
}
