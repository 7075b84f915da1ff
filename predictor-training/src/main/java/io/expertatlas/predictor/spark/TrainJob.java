package io.expertatlas.predictor.spark;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.nd4j.TrainingCounts;
import io.expertatlas.predictor.nd4j.TrainingRunner;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.job.SparkApplication;
import io.expertatlas.trace.job.SparkStage;
import io.expertatlas.trace.terminal.StageProgress;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.LongAccumulator;

/**
 * Trains layers as a Spark job, a task for each layer. The trace is read by the data source {@code
 * routing-trace}, on the executors; a shuffle brings each layer's states, in the order of the
 * tokens, to the task that trains it, which keeps them in a {@link
 * io.expertatlas.predictor.store.LayerSpool} of its own. The weights are those of {@link
 * io.expertatlas.predictor.nd4j.LocalRunner}, bit for bit.
 */
public final class TrainJob implements TrainingRunner {
  private static final int TREE_DEPTH = 2;

  private final JavaSparkContext spark;
  private final TraceColumns trace;
  private final PredictedModel model;
  private final String origin;

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

  /** Starts a job that reads the states of so many tokens in a task; 0: as many as pay. */
  TrainJob(
      String master,
      TraceSource source,
      TokenSelection selection,
      PredictedModel model,
      long tokens,
      String origin,
      long splitTokens) {
    this.spark = SparkApplication.start("ExpertAtlas train-predictor", master);
    this.trace =
        new TraceColumns(
            spark,
            source,
            selection,
            model,
            splitTokens > 0 ? splitTokens : TraceColumns.evenSplit(spark, model, tokens));
    this.model = model;
    this.origin = origin;
  }

  private <T> T run(String stage, int tasks, Supplier<T> work) {
    return new SparkStage(spark, StageProgress.NONE).run(stage, tasks, work);
  }

  @Override
  public int[] sequences() {
    TraceColumns.Scan scan = trace.sequences();
    TraceView view = scan.view();
    JavaRDD<int[]> found = scan.batches().mapPartitions(view::sequences);
    return run("Find sequences", found.getNumPartitions(), found::collect).stream()
        .flatMapToInt(IntStream::of)
        .distinct()
        .toArray();
  }

  @Override
  public TrainingCounts count(SequenceSplit split, int lookahead) {
    TraceColumns.Scan scan = trace.routes();
    TraceView view = scan.view();
    JavaRDD<TrainingCounts> counts =
        scan.batches().mapPartitions(rows -> view.count(rows, split, lookahead));
    return run(
        "Count routes",
        counts.getNumPartitions(),
        () -> counts.treeReduce(TrainingCounts::add, TREE_DEPTH));
  }

  @Override
  public List<TrainedLayer> train(List<LayerTask> tasks, SequenceSplit split, Runnable epochDone) {
    int layers = model.shape().layers() - 1;
    int lookahead = tasks.stream().mapToInt(LayerTask::heads).max().orElse(1);
    JavaRDD<LayerJob> jobs = spark.parallelize(LayerJob.of(tasks, layers, origin), layers);
    LongAccumulator epochs = spark.sc().longAccumulator("epochs trained");
    TraceColumns.Scan scan = trace.states();
    TraceView view = scan.view();
    JavaPairRDD<BlockKey, byte[]> blocks =
        scan.batches()
            .mapPartitionsToPair(rows -> view.blocks(rows, split, lookahead))
            .repartitionAndSortWithinPartitions(new BlockKey.ByLayer(layers));
    JavaRDD<LayerJob.Trained> training =
        blocks.zipPartitions(jobs, (rows, job) -> job.next().train(view.predicted(), rows, epochs));
    TrainedLayer[] ordered = new TrainedLayer[tasks.size()];
    EpochWatcher watcher = new EpochWatcher(epochs, epochDone);
    try {
      run("Train %d layers".formatted(tasks.size()), layers, training::collect)
          .forEach(one -> ordered[one.task()] = one.layer());
    } finally {
      watcher.close();
    }

    return List.of(ordered);
  }

  @Override
  public void close() {
    spark.close();
  }
}
