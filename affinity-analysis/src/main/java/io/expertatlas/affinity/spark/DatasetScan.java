package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * Counts a routing-trace dataset through the data source of that name, as the columnar batches that
 * it reads: no row is made of them. The source leaves out what the selection does not need:
 * columns, and tokens outside the range.
 */
final class DatasetScan {
  private static final String SOURCE = "routing-trace";

  private DatasetScan() {}

  /** What tasks know. */
  private record Plan(
      String dataset,
      int layers,
      int experts,
      int topK,
      String sequences,
      List<String> columns,
      AnalysisPlan analysis,
      long firstToken)
      implements Serializable {
    Iterator<AnalysisCounter> count(Iterator<ColumnarBatch> batches) {
      ModelShape shape = new ModelShape(layers, experts, topK);
      DatasetColumns found =
          new DatasetColumns(shape, columns, Sequences.parse(sequences), analysis);
      AnalysisCounter counter = new AnalysisCounter(shape, analysis, firstToken);
      try {
        while (batches.hasNext()) {
          found.addTo(counter, batches.next());
        }

        counter.complete();
      } catch (IllegalArgumentException e) {
        throw new TraceFormatException(
            "Invalid rows in dataset %s: %s".formatted(dataset, e.getMessage()), e);
      }

      return List.of(counter).iterator();
    }
  }

  /** One counter for each partition; parts must exist. */
  static JavaRDD<AnalysisCounter> counters(
      SparkSession spark,
      Path dataset,
      TraceManifest manifest,
      TokenSelection selection,
      TokenRange tokens,
      AnalysisPlan analysis) {
    ModelShape shape = manifest.shape();
    Dataset<Row> rows =
        spark
            .read()
            .format(SOURCE)
            .option("format", "dataset")
            .option("tokens", tokens.from() + ":" + tokens.to())
            .load("file://" + dataset.toAbsolutePath())
            .select(columns(manifest, selection, analysis));
    Plan plan =
        new Plan(
            dataset.toString(),
            shape.layers(),
            shape.experts(),
            shape.topK(),
            selection.sequences().toString(),
            List.of(rows.columns()),
            analysis,
            tokens.from());
    // the scan itself: its output is columnar, what Spark puts above it makes rows
    return rows.queryExecution()
        .sparkPlan()
        .executeColumnar()
        .toJavaRDD()
        .mapPartitions(plan::count);
  }

  /** The columns that count, in the order of the source. */
  private static Column[] columns(
      TraceManifest manifest, TokenSelection selection, AnalysisPlan analysis) {
    List<Column> columns = new ArrayList<>();
    if (!analysis.isPlain() || !selection.sequences().equals(Sequences.ALL)) {
      columns.add(functions.col("sequence"));
    }

    if (analysis.groups().needsPhase()) {
      columns.add(functions.col("phase"));
    }

    columns.add(functions.col("experts"));
    if (manifest.weights()) {
      columns.add(functions.col("weights"));
    }

    if (analysis.needsIndex()) {
      columns.add(functions.col("_token"));
    }

    return columns.toArray(Column[]::new);
  }
}
