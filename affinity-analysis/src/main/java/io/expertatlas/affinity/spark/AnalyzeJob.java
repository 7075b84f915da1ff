package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.TraceAnalysis;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.job.SparkApplication;
import io.expertatlas.trace.job.SparkStage;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.terminal.StageProgress;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * Counts the routes of a trace with Spark: one job, one pass over the tokens. Each partition counts
 * into dense arrays of its own ({@link AnalysisCounter}), a tree aggregation merges them; rows are
 * neither exploded nor shuffled. The same counts as {@link
 * io.expertatlas.affinity.InMemoryEstimator}, for any number of partitions.
 */
public final class AnalyzeJob {
  private static final String DATASET = "dataset";
  private static final int TREE_DEPTH = 2;

  private final JavaSparkContext spark;
  private final StageProgress progress;
  private final int partitions;

  /**
   * Creates the job.
   *
   * @param spark stays open
   * @param progress is told how far the job is
   */
  public AnalyzeJob(JavaSparkContext spark, StageProgress progress) {
    this(spark, progress, 0);
  }

  /** Creates a job that cuts raw files into so many partitions. */
  AnalyzeJob(JavaSparkContext spark, StageProgress progress, int partitions) {
    this.spark = spark;
    this.progress = progress;
    this.partitions = partitions;
  }

  /**
   * Runs the job in a Spark application of its own; see {@link #run}.
   *
   * @param master Spark master; empty: what spark-submit says, else all cores of this machine
   */
  public static TraceAnalysis runAlone(
      String master,
      TraceSource source,
      TokenSelection selection,
      AnalysisPlan plan,
      StageProgress progress) {
    checkReadable(source, plan); // before Spark takes seconds to start
    try (JavaSparkContext spark = SparkApplication.start("ExpertAtlas analyze", master)) {
      return new AnalyzeJob(spark, progress).analyze(source, selection, plan);
    }
  }

  private static void checkReadable(TraceSource source, AnalysisPlan plan) {
    try (TraceReader reader = TraceFormat.openTrace(source)) {
      new AnalysisCounter(reader.shape(), plan, 0);
    }
  }

  /**
   * Runs the job.
   *
   * @throws TraceFormatException if the trace is broken or the selection keeps no token of a trace
   *     that has some
   * @throws IllegalArgumentException if the model is too large to count densely
   */
  public RouteCounts run(TraceSource source, TokenSelection selection) {
    return analyze(source, selection, AnalysisPlan.PLAIN).counts();
  }

  /**
   * Runs the job and counts what a plan asks for, in the same pass.
   *
   * @throws TraceFormatException for the reasons of {@link #run}, or if a sequence has no group
   * @throws IllegalArgumentException if the plan does not fit the model
   */
  public TraceAnalysis analyze(TraceSource source, TokenSelection selection, AnalysisPlan plan) {
    TraceFormat format = TraceFormat.find(source);
    ModelShape shape;
    long all;
    try (TraceReader reader = format.open(source)) {
      shape = reader.shape();
      all = reader.tokens();
    }

    AnalysisCounter zero = new AnalysisCounter(shape, plan, selection.tokens().from());
    if (all == 0) {
      return zero.finish();
    }

    if (selection.tokens().from() >= all) {
      throw nothing(source, selection, all);
    }

    TokenRange tokens =
        new TokenRange(selection.tokens().from(), Math.min(all, selection.tokens().to()));
    AnalysisCounter sum = aggregate(source, format, selection, tokens, plan, zero);
    boolean allSequences = selection.sequences().equals(TokenSelection.Sequences.ALL);
    if (allSequences && sum.tokens() != tokens.to() - tokens.from()) {
      throw new TraceFormatException(
          "Cannot count tokens %s of %s: got %d. Maybe it changed meanwhile"
              .formatted(tokens, source.path(), sum.tokens()));
    }

    if (sum.tokens() == 0) {
      throw nothing(source, selection, all);
    }

    return sum.finish();
  }

  private static TraceFormatException nothing(
      TraceSource source, TokenSelection selection, long all) {
    return new TraceFormatException(
        "Cannot analyze %s: none of its %d tokens is in the selection (%s)"
            .formatted(source.path(), all, selection));
  }

  private AnalysisCounter aggregate(
      TraceSource source,
      TraceFormat format,
      TokenSelection selection,
      TokenRange tokens,
      AnalysisPlan plan,
      AnalysisCounter zero) {
    JavaRDD<AnalysisCounter> counters =
        format.name().equals(DATASET)
            ? DatasetScan.counters(
                session(),
                source.path(),
                TraceManifestParser.read(source.path()),
                selection,
                tokens,
                plan)
            : RawScan.counters(
                spark,
                source,
                format.name(),
                selection,
                tokens,
                plan,
                format.isSplittable(source) ? partitions : 1);
    return new SparkStage(spark, progress)
        .run(
            "Count routes",
            counters.getNumPartitions(),
            () ->
                counters.treeAggregate(
                    zero, AnalysisCounter::merge, AnalysisCounter::merge, TREE_DEPTH));
  }

  private SparkSession session() {
    return SparkSession.builder()
        .sparkContext(spark.sc())
        // listing many parts is no Spark job of its own
        .config("spark.sql.sources.parallelPartitionDiscovery.threshold", Integer.MAX_VALUE)
        .getOrCreate();
  }
}
