package io.expertatlas.predictor.spark;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/** Scans of a trace by the data source {@code routing-trace}, on the driver. */
final class TraceColumns {
  private static final String SOURCE = "routing-trace";
  private static final long MIN_SPLIT_TOKENS = 1 << 10;
  private static final long MAX_SPLIT_VALUES = 1 << 28; // 1 GiB of states

  private final SparkSession session;
  private final TraceSource source;
  private final TokenSelection selection;
  private final PredictedModel model;
  private final long splitTokens;

  /**
   * A scan that is about to be run.
   *
   * @param batches of the columns, in the order of the tokens
   * @param view how tasks read them
   */
  record Scan(JavaRDD<ColumnarBatch> batches, TraceView view) {}

  TraceColumns(
      JavaSparkContext spark,
      TraceSource source,
      TokenSelection selection,
      PredictedModel model,
      long splitTokens) {
    this.session = SparkSession.builder().sparkContext(spark.sc()).getOrCreate();
    this.source = source;
    this.selection = selection;
    this.model = model;
    this.splitTokens = splitTokens;
  }

  /** Tokens whose states a task reads, so that every core has a task. */
  static long evenSplit(JavaSparkContext spark, PredictedModel model, long tokens) {
    long even = tokens / spark.defaultParallelism() + 1;
    long values = (long) model.shape().layers() * (model.hiddenSize() + model.shape().experts());
    return Math.max(1, Math.min(MAX_SPLIT_VALUES / values, Math.max(MIN_SPLIT_TOKENS, even)));
  }

  Scan sequences() {
    return scan(load(reader(), StateColumns.SEQUENCE), Scores.NONE);
  }

  Scan routes() {
    return scan(load(reader(), StateColumns.SEQUENCE, StateColumns.EXPERTS), Scores.NONE);
  }

  /** Routes, router inputs, and scores if the trace has some. */
  Scan states() {
    DataFrameReader reader = reader().option("split-tokens", splitTokens);
    String[] columns = {
      StateColumns.SEQUENCE,
      StateColumns.EXPERTS,
      StateColumns.TOKEN,
      StateColumns.INPUT,
      StateColumns.SCORES
    };
    Dataset<Row> all = load(reader, columns);
    Scores scores = scores(all.schema().apply(StateColumns.SCORES).metadata());
    return scan(
        scores == Scores.NONE
            ? load(reader, Arrays.copyOf(columns, columns.length - 1)) // it would be refused
            : all,
        scores);
  }

  /** What the source says that its scores are. */
  private static Scores scores(Metadata metadata) {
    return Scores.valueOf(metadata.getString("scores").toUpperCase(Locale.ROOT));
  }

  private DataFrameReader reader() {
    DataFrameReader reader = session.read().format(SOURCE).option("format", source.format());
    source.experts().ifPresent(experts -> reader.option("experts", experts));
    source.sequences().ifPresent(file -> reader.option("sequence-file", absolute(file)));
    source.positions().ifPresent(file -> reader.option("position-file", absolute(file)));
    for (String option : source.options().entries()) {
      int at = option.indexOf('=');
      reader.option("format-option." + option.substring(0, at), option.substring(at + 1));
    }

    if (!selection.tokens().equals(TokenRange.ALL)) {
      reader.option("tokens", selection.tokens().toString());
    }

    return reader;
  }

  private static String absolute(Path file) {
    return file.toAbsolutePath().toString();
  }

  private Dataset<Row> load(DataFrameReader reader, String... columns) {
    return reader
        .load("file://" + absolute(source.path()))
        .select(Arrays.stream(columns).map(functions::col).toArray(Column[]::new));
  }

  /** The scan itself: its output is columnar, what Spark puts above it makes rows. */
  private Scan scan(Dataset<Row> columns, Scores scores) {
    return new Scan(
        columns.queryExecution().sparkPlan().executeColumnar().toJavaRDD(),
        TraceView.of(model, List.of(columns.columns()), scores, selection.sequences()));
  }
}
