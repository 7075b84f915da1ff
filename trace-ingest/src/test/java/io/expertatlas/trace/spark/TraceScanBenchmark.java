package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.format.NpyWriter;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * Compares the connector with plain {@code spark.read.parquet} on one dataset: medians of
 * interleaved runs, in ns a token, one task at a time. All of a scan's sums must agree. Run with
 *
 * <pre>
 * mvn -B -q -Dquick -pl trace-ingest test -Dtest=TraceScanBenchmark -Dscan.benchmark=4000000
 * </pre>
 */
@EnabledIfSystemProperty(named = "scan.benchmark", matches = "\\d+")
class TraceScanBenchmark {
  private static final int RUNS = 9;

  @TempDir private Path temp;

  /** Sums of what a job reads as internal rows. */
  private static long sumRows(Dataset<Row> table, int width) {
    return table
        .queryExecution()
        .toRdd()
        .toJavaRDD()
        .mapPartitions(
            rows -> {
              long sum = 0;
              while (rows.hasNext()) {
                InternalRow row = rows.next();
                ArrayData ids = row.getArray(0);
                for (int i = 0; i < width; i++) {
                  sum += ids.getShort(i) * (long) (i + 1);
                }
              }

              return List.of(sum).iterator();
            })
        .reduce(Long::sum);
  }

  private static long sql(Dataset<Row> table, String sum) {
    return table.selectExpr("sum(" + sum + ")").first().getLong(0);
  }

  @Test
  void connectorAgainstPlainParquet() throws IOException {
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
    DatasetFolder.write(folder, trace, (1 << 22) / shape.choicesPerToken() * 4);
    Path array = temp.resolve("d" + shape.layers() + ".npy");
    NpyWriter.write(array, trace);
    int width = shape.choicesPerToken();
    Supplier<Dataset<Row>> connector =
        () -> spark.read().format("routing-trace").load(folder.toString());
    Supplier<Dataset<Row>> parquet = () -> spark.read().parquet(folder + "/*.parquet");
    Supplier<Dataset<Row>> raw =
        () ->
            spark
                .read()
                .format("routing-trace")
                .option("experts", shape.experts())
                .load(array.toString());
    String pair = "experts[2] * 7 + experts[" + (width - 2) + "]";
    Map<String, Supplier<Long>> runs = new LinkedHashMap<>();
    runs.put("all choices as rows, parquet", () -> sumRows(parquet.get().select("experts"), width));
    runs.put(
        "all choices as rows, connector", () -> sumRows(connector.get().select("experts"), width));
    runs.put("all choices as rows, raw npy", () -> sumRows(raw.get().select("experts"), width));
    runs.put("SQL one pair, parquet", () -> sql(parquet.get(), pair));
    runs.put("SQL one pair, connector", () -> sql(connector.get(), pair));
    runs.put("SQL one pair, raw npy", () -> sql(raw.get(), pair));
    String inPruned = "experts[0] * 7 + experts[" + shape.topK() + "]";
    runs.put("two layers of all, parquet", () -> sql(parquet.get(), inPruned));
    runs.put(
        "two layers of all, connector",
        () ->
            sql(
                spark
                    .read()
                    .format("routing-trace")
                    .option("layers", "0:2")
                    .load(folder.toString()),
                inPruned));
    runs.put("positions, parquet", () -> sql(parquet.get(), "position"));
    runs.put("positions, connector", () -> sql(connector.get(), "position"));
    String few = "sequence BETWEEN 100 AND 103";
    runs.put("four sequences, parquet", () -> sql(parquet.get().where(few), pair));
    runs.put("four sequences, connector", () -> sql(connector.get().where(few), pair));

    Map<String, List<Double>> times = new LinkedHashMap<>();
    Map<String, Long> sums = new LinkedHashMap<>();
    for (int run = 0; run < RUNS + 2; run++) {
      for (Map.Entry<String, Supplier<Long>> entry : runs.entrySet()) {
        long start = System.nanoTime();
        long sum = entry.getValue().get();
        double perToken = (System.nanoTime() - start) / (double) tokens;
        String question = entry.getKey().replaceAll(",.*", "");
        assertThat(sums.computeIfAbsent(question, q -> sum)).as(entry.getKey()).isEqualTo(sum);
        if (run > 1) {
          times.computeIfAbsent(entry.getKey(), k -> new ArrayList<>()).add(perToken);
        }
      }
    }

    System.out.printf(
        "%d tokens of %s, %d bytes in %d parts: ns a token, median (least) of %d%n",
        tokens, shape, size(folder), trace.tokens() * width / (1 << 24) + 1, RUNS);
    times.forEach(
        (name, all) -> {
          double[] sorted = all.stream().mapToDouble(Double::doubleValue).sorted().toArray();
          System.out.printf("  %-34s %7.1f (%.1f)%n", name, sorted[RUNS / 2], sorted[0]);
        });
  }

  private static long size(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      return files.mapToLong(file -> file.toFile().length()).sum();
    }
  }
}
