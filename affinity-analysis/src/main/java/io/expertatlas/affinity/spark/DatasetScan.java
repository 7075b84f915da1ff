package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Counts a routing-trace dataset: its Parquet parts through Spark's vectorised reader, as internal
 * rows, which are not turned into objects. Parts outside the selected tokens are not opened; parts
 * that it cuts, and all if the analysis wants it, are read with the index of each row.
 */
final class DatasetScan {
  private static final int MAX_SHORT_EXPERTS = 1 << 15; // above, ids are kept as int

  private DatasetScan() {}

  /** What tasks know; the index of a part's first token by its file name. */
  private record Plan(
      String dataset,
      int layers,
      int experts,
      int topK,
      boolean weights,
      String sequences,
      long from,
      long to,
      TreeMap<String, Long> firstTokens,
      AnalysisPlan analysis,
      long firstToken)
      implements Serializable {
    Iterator<AnalysisCounter> count(Iterator<InternalRow> rows) {
      ModelShape shape = new ModelShape(layers, experts, topK);
      DatasetRow row =
          new DatasetRow(
              shape,
              weights,
              analysis.groups().needsPhase(),
              TokenSelection.Sequences.parse(sequences),
              from,
              to,
              firstTokens);
      AnalysisCounter counter = new AnalysisCounter(shape, analysis, firstToken);
      try {
        while (rows.hasNext()) {
          row.addTo(counter, rows.next());
        }
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
    TreeMap<String, Long> firstTokens = new TreeMap<>();
    boolean cut = false;
    long first = 0;
    for (Part part : manifest.parts()) {
      long end = first + part.rows();
      if (part.rows() > 0 && first < tokens.to() && end > tokens.from()) {
        firstTokens.put(part.file(), first);
        cut |= first < tokens.from() || end > tokens.to();
      }

      first = end;
    }

    DataType id =
        shape.experts() <= MAX_SHORT_EXPERTS ? DataTypes.ShortType : DataTypes.IntegerType;
    StructType schema =
        new StructType()
            .add("sequence", DataTypes.IntegerType, false)
            .add("experts", DataTypes.createArrayType(id, false), false);
    if (manifest.weights()) {
      schema = schema.add("weights", DataTypes.createArrayType(DataTypes.FloatType, false), false);
    }

    if (analysis.groups().needsPhase()) {
      schema = schema.add("phase", DataTypes.ByteType, false);
    }

    boolean indexed = cut || analysis.needsIndex();
    List<String> columns = new ArrayList<>(List.of(schema.fieldNames()));
    if (indexed) {
      columns.add("_metadata.row_index AS row_index");
      columns.add("_metadata.file_name AS file_name");
    }

    Plan plan =
        new Plan(
            dataset.toString(),
            shape.layers(),
            shape.experts(),
            shape.topK(),
            manifest.weights(),
            selection.sequences().toString(),
            indexed ? tokens.from() : 0,
            indexed ? tokens.to() : Long.MAX_VALUE,
            indexed ? firstTokens : new TreeMap<>(Map.of()),
            analysis,
            tokens.from());
    return spark
        .read()
        .schema(schema)
        .option("__globPaths__", "false") // a folder may be named [a] or {b}
        .option("pathGlobFilter", "*.parquet")
        // one root: Spark 4.2 reads every file once a path if several paths hold such characters;
        // the plain path: the percent signs of a URI would be taken for parts of the name
        .parquet("file://" + dataset.toAbsolutePath())
        .filter(functions.col("_metadata.file_name").isin(firstTokens.keySet().toArray()))
        .selectExpr(columns.toArray(String[]::new))
        .queryExecution()
        .toRdd()
        .toJavaRDD()
        .mapPartitions(plan::count);
  }
}
