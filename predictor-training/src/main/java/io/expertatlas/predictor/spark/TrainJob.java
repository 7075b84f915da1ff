package io.expertatlas.predictor.spark;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.nd4j.TrainingCounts;
import io.expertatlas.predictor.nd4j.TrainingRunner;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.job.SparkApplication;
import io.expertatlas.trace.job.SparkStage;
import io.expertatlas.trace.terminal.StageProgress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.util.LongAccumulator;

/**
 * Trains layers as a Spark job, a task for each layer. The trace is read by the data source {@code
 * routing-trace}, on the executors; a shuffle brings each layer's states, in the order of the
 * tokens, to the task that trains it, which keeps them in a {@link
 * io.expertatlas.predictor.store.LayerSpool} of its own. The weights are those of {@link
 * io.expertatlas.predictor.nd4j.LocalRunner}, bit for bit.
 */
public final class TrainJob implements TrainingRunner {
  private static final String SOURCE = "routing-trace";
  private static final long MIN_SPLIT_TOKENS = 1 << 10;
  private static final long MAX_SPLIT_VALUES = 1 << 28; // 1 GiB of states
  private static final int TREE_DEPTH = 2;

  private final JavaSparkContext spark;
  private final SparkSession session;
  private final TraceSource source;
  private final TokenSelection selection;
  private final PredictedModel model;
  private final String origin;
  private final long splitTokens;

  /**
   * Starts Spark.
   *
   * @param master Spark master; empty: what spark-submit says, else all cores of this machine
   * @param source with hidden states
   * @param selection of its tokens
   * @param model of the trace
   * @param tokens of the trace
   * @param origin what is read, in words
   */
  public TrainJob(
      String master,
      TraceSource source,
      TokenSelection selection,
      PredictedModel model,
      long tokens,
      String origin) {
    this(master, source, selection, model, tokens, origin, 0);
  }

  /** Starts a job that reads so many tokens in a task. */
  TrainJob(
      String master,
      TraceSource source,
      TokenSelection selection,
      PredictedModel model,
      long tokens,
      String origin,
      long splitTokens) {
    this.spark = SparkApplication.start("ExpertAtlas train-predictor", master);
    this.session = SparkSession.builder().sparkContext(spark.sc()).getOrCreate();
    this.source = source;
    this.selection = selection;
    this.model = model;
    this.origin = origin;
    this.splitTokens = splitTokens > 0 ? splitTokens : evenSplit(tokens);
  }

  /** Tokens of a task that reads states. */
  private long evenSplit(long tokens) {
    long even = tokens / spark.defaultParallelism() + 1;
    long values = (long) model.shape().layers() * (model.hiddenSize() + model.shape().experts());
    return Math.max(1, Math.min(MAX_SPLIT_VALUES / values, Math.max(MIN_SPLIT_TOKENS, even)));
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
        .select(
            Arrays.stream(columns).map(functions::col).toArray(org.apache.spark.sql.Column[]::new));
  }

  private TraceView view(Dataset<Row> columns, Scores scores) {
    return TraceView.of(model, List.of(columns.columns()), scores, selection.sequences());
  }

  /** The batches of the scan itself: what Spark puts above it makes rows. */
  private static JavaRDD<ColumnarBatch> batches(Dataset<Row> columns) {
    return columns.queryExecution().sparkPlan().executeColumnar().toJavaRDD();
  }

  private <T> T run(String stage, int tasks, Supplier<T> work) {
    return new SparkStage(spark, StageProgress.NONE).run(stage, tasks, work);
  }

  @Override
  public int[] sequences() {
    Dataset<Row> columns = load(reader(), StateColumns.SEQUENCE);
    TraceView view = view(columns, Scores.NONE);
    JavaRDD<ColumnarBatch> batches = batches(columns);
    return run(
            "Find sequences",
            batches.getNumPartitions(),
            () -> batches.mapPartitions(view::sequences).collect())
        .stream()
        .flatMapToInt(IntStream::of)
        .distinct()
        .toArray();
  }

  @Override
  public TrainingCounts count(SequenceSplit split, int lookahead) {
    Dataset<Row> columns = load(reader(), StateColumns.SEQUENCE, StateColumns.EXPERTS);
    TraceView view = view(columns, Scores.NONE);
    JavaRDD<TrainingCounts> counts =
        batches(columns).mapPartitions(rows -> view.count(rows, split, lookahead));
    return run(
        "Count routes",
        counts.getNumPartitions(),
        () -> counts.treeReduce(TrainingCounts::add, TREE_DEPTH));
  }

  @Override
  public List<TrainedLayer> train(List<LayerTask> tasks, SequenceSplit split, Runnable epochDone) {
    int layers = model.shape().layers() - 1;
    List<LayerJob> jobs = LayerJob.of(tasks, layers, origin);
    int lookahead = tasks.stream().mapToInt(LayerTask::heads).max().orElse(1);
    LongAccumulator epochs = spark.sc().longAccumulator("epochs trained");
    try (EpochWatcher watcher = new EpochWatcher(epochs, epochDone)) {
      Dataset<Row> columns = states();
      TraceView view = view(columns, scores(columns));
      JavaPairRDD<BlockKey, byte[]> blocks =
          batches(columns)
              .mapPartitionsToPair(rows -> view.blocks(rows, split, lookahead))
              .repartitionAndSortWithinPartitions(new BlockKey.ByLayer(layers));
      List<LayerJob.Trained> trained =
          run(
              "Train %d layers".formatted(tasks.size()),
              layers,
              () ->
                  blocks
                      .zipPartitions(
                          spark.parallelize(jobs, layers),
                          (rows, job) -> job.next().train(view.predicted(), rows, epochs))
                      .collect());
      TrainedLayer[] ordered = new TrainedLayer[tasks.size()];
      trained.forEach(one -> ordered[one.task()] = one.layer());
      return List.of(ordered);
    }
  }

  /** The scan of the states; scores are read if the trace has some. */
  private Dataset<Row> states() {
    DataFrameReader reader = reader().option("split-tokens", splitTokens);
    List<String> columns =
        new ArrayList<>(
            List.of(
                StateColumns.SEQUENCE,
                StateColumns.EXPERTS,
                StateColumns.TOKEN,
                StateColumns.INPUT,
                StateColumns.SCORES));
    Dataset<Row> all = load(reader, columns.toArray(String[]::new));
    if (scores(all) != Scores.NONE) {
      return all;
    }

    columns.remove(StateColumns.SCORES);
    return load(reader, columns.toArray(String[]::new));
  }

  /** What the source says that its scores are. */
  private static Scores scores(Dataset<Row> columns) {
    return Optional.of(columns.schema())
        .filter(schema -> List.of(schema.fieldNames()).contains(StateColumns.SCORES))
        .map(schema -> schema.apply(StateColumns.SCORES).metadata())
        .map(metadata -> metadata.getString("scores").toUpperCase(Locale.ROOT))
        .map(Scores::valueOf)
        .orElse(Scores.NONE);
  }

  @Override
  public void close() {
    spark.close();
  }
}
