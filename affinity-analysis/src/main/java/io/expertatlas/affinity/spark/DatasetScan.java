package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection;
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
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.functions;

/**
 * Counts a routing-trace dataset through the data source of that name, as internal rows, which are
 * not turned into objects. The source leaves out what the selection does not need: columns, and
 * tokens outside the range.
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
      boolean weights,
      String sequences,
      boolean indexed,
      AnalysisPlan analysis,
      long firstToken)
      implements Serializable {
    Iterator<AnalysisCounter> count(Iterator<InternalRow> rows) {
      ModelShape shape = new ModelShape(layers, experts, topK);
      DatasetRow row =
          new DatasetRow(
              shape,
              weights,
              analysis.isPlain(),
              analysis.groups().needsPhase(),
              indexed,
              TokenSelection.Sequences.parse(sequences));
      AnalysisCounter counter = new AnalysisCounter(shape, analysis, firstToken);
      try {
        while (rows.hasNext()) {
          row.addTo(counter, rows.next());
        }

        row.flush(counter);
      } catch (IllegalArgumentException e) {
        throw new TraceFormatException(
            "Invalid row in dataset %s: %s".formatted(dataset, e.getMessage()), e);
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
    List<Column> columns = new ArrayList<>();
    columns.add(functions.col("sequence"));
    columns.add(functions.col("experts"));
    if (manifest.weights()) {
      columns.add(functions.col("weights"));
    }

    if (analysis.groups().needsPhase()) {
      columns.add(functions.col("phase"));
    }

    if (analysis.needsIndex()) {
      columns.add(functions.col("_token"));
    }

    Plan plan =
        new Plan(
            dataset.toString(),
            shape.layers(),
            shape.experts(),
            shape.topK(),
            manifest.weights(),
            selection.sequences().toString(),
            analysis.needsIndex(),
            analysis,
            tokens.from());
    return spark
        .read()
        .format(SOURCE)
        .option("format", "dataset")
        .option("tokens", tokens.from() + ":" + tokens.to())
        .load("file://" + dataset.toAbsolutePath())
        .select(columns.toArray(Column[]::new))
        .queryExecution()
        .toRdd()
        .toJavaRDD()
        .mapPartitions(plan::count);
  }
}
