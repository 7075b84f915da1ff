package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.format.NpyWriter;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
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
 * interleaved runs, in ns a token, one task at a time; also the marginal cost, from a quarter of
 * the tokens to all, in which what a query costs anyway cancels. Sums of the same question agree.
 * Run with
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
      compare(spark, new ModelShape(12, 8, 2), tokens);
      compare(spark, new ModelShape(26, 64, 6), tokens / 8);
    }
  }

  private void compare(SparkSession spark, ModelShape shape, int tokens) throws IOException {
    Map<String, Double> part = measure(spark, shape, tokens / 4);
    Map<String, Double> all = measure(spark, shape, tokens);
    System.out.printf(
        "%d tokens of %s: ns a token, of them without what a query costs anyway%n", tokens, shape);
    all.forEach(
        (name, nanos) ->
            System.out.printf(
                "  %-34s %7.1f %7.1f%n",
                name, nanos / tokens, (nanos - part.get(name)) / (tokens - tokens / 4)));
  }

  /** Medians of the nanoseconds that each scan takes. */
  private Map<String, Double> measure(SparkSession spark, ModelShape shape, int tokens)
      throws IOException {
    Path folder = temp.resolve("d" + shape.layers() + "-" + tokens);
    RoutingTrace trace = SyntheticTrace.draw(shape, tokens, 512, 0.5, 1);
    DatasetFolder.write(folder, trace, (1 << 22) / shape.choicesPerToken() * 4);
    Path array = temp.resolve("d" + shape.layers() + "-" + tokens + ".npy");
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
        double nanos = System.nanoTime() - start;
        String question = entry.getKey().replaceAll(",.*", "");
        assertThat(sums.computeIfAbsent(question, q -> sum)).as(entry.getKey()).isEqualTo(sum);
        if (run > 1) {
          times.computeIfAbsent(entry.getKey(), k -> new ArrayList<>()).add(nanos);
        }
      }
    }

    Map<String, Double> medians = new LinkedHashMap<>();
    times.forEach(
        (name, all) ->
            medians.put(
                name, all.stream().mapToDouble(Double::doubleValue).sorted().toArray()[RUNS / 2]));
    return medians;
  }
}
