package io.expertatlas.affinity.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * Compares the scan through the data source with its twin on plain Parquet: medians of interleaved
 * runs, whole counts in one task, ns a token. The counts must agree. Run with
 *
 * <pre>
 * mvn -B -q -Dquick -pl affinity-analysis -am test -Dtest=DatasetScanBenchmark \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Dscan.benchmark=2400000
 * </pre>
 */
@EnabledIfSystemProperty(named = "scan.benchmark", matches = "\\d+")
class DatasetScanBenchmark {
  private static final int RUNS = 11;

  @TempDir private Path temp;

  @Test
  void dataSourceAgainstPlainParquet() throws IOException {
    int tokens = Integer.getInteger("scan.benchmark");
    try (SparkSession spark =
        SparkSession.builder()
            .master("local[1]")
            .config("spark.ui.enabled", false)
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "localhost")
            .getOrCreate()) {
      measure(spark, new ModelShape(12, 8, 2), tokens);
      measure(spark, new ModelShape(26, 64, 6), tokens / 8);
    }
  }

  private void measure(SparkSession spark, ModelShape shape, int tokens) throws IOException {
    Path folder = temp.resolve("d" + shape.layers());
    RoutingTrace trace = SyntheticTrace.draw(shape, tokens, 512, 0.5, 1);
    TraceManifest manifest =
        DatasetFolder.write(folder, trace, (1 << 24) / shape.choicesPerToken());
    TokenRange all = new TokenRange(0, tokens);
    List<Supplier<JavaRDD<AnalysisCounter>>> scans =
        List.of(
            () ->
                PlainParquetScan.counters(
                    spark, folder, manifest, TokenSelection.ALL, all, AnalysisPlan.PLAIN),
            () ->
                DatasetScan.counters(
                    spark, folder, manifest, TokenSelection.ALL, all, AnalysisPlan.PLAIN));
    List<List<Double>> times = List.of(new ArrayList<>(), new ArrayList<>());
    List<RouteCounts> counts = new ArrayList<>();
    for (int run = 0; run < RUNS + 2; run++) {
      for (int scan = 0; scan < scans.size(); scan++) {
        long start = System.nanoTime();
        AnalysisCounter sum =
            scans
                .get(scan)
                .get()
                .treeAggregate(
                    new AnalysisCounter(shape, AnalysisPlan.PLAIN, 0),
                    AnalysisCounter::merge,
                    AnalysisCounter::merge,
                    2);
        double nanos = (System.nanoTime() - start) / (double) tokens;
        if (run == 0) {
          counts.add(sum.finish().counts());
        } else if (run > 1) {
          times.get(scan).add(nanos);
        }
      }
    }

    assertThat(counts.get(1)).isEqualTo(counts.get(0));
    System.out.printf(
        "%d tokens of %s, ns a token: plain Parquet %.1f, data source %.1f%n",
        tokens, shape, median(times.get(0)), median(times.get(1)));
  }

  private static double median(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).sorted().toArray()[RUNS / 2];
  }
}
