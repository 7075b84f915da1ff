package io.expertatlas.affinity.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.GarbageCollectionNotificationInfo;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.TokenGroups;
import io.expertatlas.affinity.TraceAnalysis;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.NpyWriter;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.spark.IngestJob;
import io.expertatlas.trace.spark.IngestProgress;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryUsage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicLong;
import javax.management.NotificationEmitter;
import javax.management.NotificationListener;
import javax.management.openmbean.CompositeData;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * How the job's time grows with the trace, and what uneven input costs. Local files, two cores.
 *
 * <p>Growth: one block of tokens, over and over, from 10^6 transitions to the number given. Heap is
 * the most that was in use right after any garbage collection during a run, one at its end
 * included, in the JVM of the build (3 GiB at most).
 *
 * <p>Skew: the same tokens as equal files, one file, ten thousand files, and in sequences of equal
 * and of very unequal lengths (one holds half of all tokens), medians of three runs in ns a token.
 *
 * <pre>
 * mvn -B -q -Dquick -pl affinity-analysis -am test -Dtest=ScaleBenchmark \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Dscale.growth=1000000000 -Dscale.skew=2000000
 * cat affinity-analysis/target/surefire-reports/*ScaleBenchmark-output.txt
 * </pre>
 */
final class ScaleBenchmark {
  private static final ModelShape SHAPE = new ModelShape(12, 8, 2);

  @TempDir private Path temp;

  @Test
  void smallTracesGrowAndSkew() throws Exception {
    try (SparkSession spark = AnalyzeBenchmark.spark(2)) {
      grow(spark, 100, 3);
      skew(spark, 600, 20, 1);
    }
  }

  @Test
  @EnabledIfSystemProperty(named = "scale.growth", matches = "\\d+")
  void timeAndHeapOfLargerTraces() throws Exception {
    int blockTokens = 1_000_000 / (SHAPE.layers() - 1);
    try (SparkSession spark = AnalyzeBenchmark.spark(2)) {
      grow(spark, blockTokens, 1); // warm
      System.out.println("transitions  tokens  MB  seconds  ns a transition  MiB of heap in use");
      for (long transitions = 1_000_000;
          transitions <= Long.getLong("scale.growth");
          transitions *= 10) {
        System.out.println(grow(spark, blockTokens, (int) (transitions / 1_000_000)));
      }
    }
  }

  @Test
  @EnabledIfSystemProperty(named = "scale.skew", matches = "\\d+")
  void unevenInput() throws Exception {
    try (SparkSession spark = AnalyzeBenchmark.spark(2)) {
      skew(spark, Integer.getInteger("scale.skew"), 10_000, 3);
    }
  }

  private String grow(SparkSession spark, int blockTokens, int times) throws Exception {
    byte[] block = AnalyzeBenchmark.bytes(SyntheticTrace.draw(SHAPE, blockTokens, 512, 0.5, 1));
    Path one = temp.resolve("block.npy");
    PlainLoops.write(one, SHAPE, block, 1);
    Path file = temp.resolve("trace.npy");
    PlainLoops.write(file, SHAPE, block, times);
    try (HeapWatch heap = new HeapWatch()) {
      long start = System.nanoTime();
      SharedCounts counts = AnalyzeBenchmark.job(spark, file, OptionalInt.of(SHAPE.experts()));
      double nanos = System.nanoTime() - start;
      assertThat(counts).isEqualTo(PlainLoops.java(SHAPE, one, blockTokens).times(times));
      long tokens = (long) blockTokens * times;
      return "%,15d %,12d %6d %8.2f %8.2f %6d"
          .formatted(
              tokens * (SHAPE.layers() - 1),
              tokens,
              Files.size(file) / 1_000_000,
              nanos / 1e9,
              nanos / tokens / (SHAPE.layers() - 1),
              heap.peak() >> 20);
    } finally {
      Files.delete(file);
      Files.delete(one);
    }
  }

  /** The most heap in use after a collection. */
  private static final class HeapWatch implements AutoCloseable {
    private final AtomicLong peak = new AtomicLong();
    private final NotificationListener listener =
        (notification, handback) -> {
          if (notification.getUserData() instanceof CompositeData data) {
            long used =
                GarbageCollectionNotificationInfo.from(data)
                    .getGcInfo()
                    .getMemoryUsageAfterGc()
                    .entrySet()
                    .stream()
                    .filter(pool -> !pool.getKey().matches(".*(Metaspace|Code|Compressed).*"))
                    .map(Map.Entry::getValue)
                    .mapToLong(MemoryUsage::getUsed)
                    .sum();
            peak.accumulateAndGet(used, Math::max);
          }
        };

    HeapWatch() {
      System.gc();
      for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans()) {
        ((NotificationEmitter) bean).addNotificationListener(listener, null, null);
      }
    }

    long peak() throws InterruptedException {
      System.gc();
      Thread.sleep(100); // collections are told from a thread of their own
      return peak.get();
    }

    @Override
    public void close() throws Exception {
      for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans()) {
        ((NotificationEmitter) bean).removeNotificationListener(listener);
      }
    }
  }

  /** What is measured, once. */
  private interface Work {
    TraceAnalysis run() throws Exception;
  }

  private void skew(SparkSession spark, int tokens, int files, int runs) throws Exception {
    RoutingTrace trace = SyntheticTrace.draw(SHAPE, tokens, 512, 0.5, 1);
    Path skewed = sequences("skewed", tokens, true);
    Path even = sequences("even", tokens, false);
    Path giant = raw(trace, 0, tokens, "giant.npy");
    AnalysisPlan locality = new AnalysisPlan(0, List.of(), true, TokenGroups.NONE);
    Map<String, Work> works = new LinkedHashMap<>();
    for (int parts : new int[] {8, 1, files}) {
      Path dataset = temp.resolve("parts" + parts);
      DatasetFolder.write(dataset, trace, Math.max(1, (tokens + parts - 1) / parts));
      works.put(
          "analyze: dataset of %d parts".formatted(parts),
          () -> analyze(spark, TraceSource.of(dataset), AnalysisPlan.PLAIN));
    }

    works.put(
        "analyze: one .npy",
        () -> analyze(spark, source(giant, Optional.empty()), AnalysisPlan.PLAIN));
    works.put(
        "locality: even sequences",
        () -> analyze(spark, source(giant, Optional.of(even)), locality));
    works.put(
        "locality: skewed sequences",
        () -> analyze(spark, source(giant, Optional.of(skewed)), locality));
    for (int parts : new int[] {8, 1, files}) {
      List<TraceSource> sources = new ArrayList<>();
      for (int part = 0; part < parts; part++) {
        int from = (int) ((long) tokens * part / parts);
        int to = (int) ((long) tokens * (part + 1) / parts);
        sources.add(
            source(raw(trace, from, to, "p%d-%d.npy".formatted(parts, part)), Optional.empty()));
      }

      works.put("ingest: %d files".formatted(parts), () -> ingest(spark, sources));
    }

    works.put(
        "ingest: even sequences", () -> ingest(spark, List.of(source(giant, Optional.of(even)))));
    works.put(
        "ingest: skewed sequences",
        () -> ingest(spark, List.of(source(giant, Optional.of(skewed)))));
    SharedCounts expected = PlainLoops.java(SHAPE, giant, tokens);
    Map<String, List<Double>> times = new LinkedHashMap<>();
    for (int run = runs > 1 ? -1 : 0; run < runs; run++) {
      for (Map.Entry<String, Work> work : works.entrySet()) {
        long start = System.nanoTime();
        TraceAnalysis found = work.getValue().run();
        double nanos = System.nanoTime() - start;
        if (run >= 0) {
          times.computeIfAbsent(work.getKey(), key -> new ArrayList<>()).add(nanos / tokens);
        }

        if (work.getKey().startsWith("ingest")) {
          found = analyze(spark, TraceSource.of(temp.resolve("out")), AnalysisPlan.PLAIN);
        }

        assertThat(SharedCounts.of(found.counts())).as(work.getKey()).isEqualTo(expected);
      }
    }

    System.out.printf("%d tokens of %s, ns a token%n", tokens, SHAPE);
    times.forEach(
        (name, all) ->
            System.out.printf(
                "  %-34s %9.1f%n",
                name,
                all.stream().mapToDouble(Double::doubleValue).sorted().toArray()[all.size() / 2]));
  }

  private static TraceAnalysis analyze(SparkSession spark, TraceSource source, AnalysisPlan plan) {
    return new AnalyzeJob(
            JavaSparkContext.fromSparkContext(spark.sparkContext()), AnalyzeProgress.NONE)
        .analyze(source, TokenSelection.ALL, plan);
  }

  /** Ingests; the dataset is counted outside the measured time. */
  private TraceAnalysis ingest(SparkSession spark, List<TraceSource> sources) throws Exception {
    new IngestJob(
            JavaSparkContext.fromSparkContext(spark.sparkContext()), true, IngestProgress.NONE)
        .run(sources, temp.resolve("out"));
    return null;
  }

  private static TraceSource source(Path file, Optional<Path> sequences) {
    return new TraceSource(
        file, "npy", OptionalInt.of(SHAPE.experts()), sequences, Optional.empty());
  }

  private Path raw(RoutingTrace trace, int from, int to, String name) throws IOException {
    Path file = temp.resolve(name);
    PlainLoops.write(file, SHAPE, AnalyzeBenchmark.bytes(trace.slice(from, to)), 1);
    return file;
  }

  /** Sequence ids: of 512 tokens each, or half of all in one, then one, two, three, ... tokens. */
  private Path sequences(String name, int tokens, boolean skewed) throws IOException {
    long[] ids = new long[tokens];
    int at = skewed ? tokens / 2 : 0;
    for (int id = 1; at < tokens; id++) {
      int end = Math.min(tokens, at + (skewed ? id : 512));
      Arrays.fill(ids, at, end, id);
      at = end;
    }

    Path file = temp.resolve(name + ".npy");
    Files.write(file, NpyWriter.bytes(1, "<i4", false, ids, tokens));
    return file;
  }
}
