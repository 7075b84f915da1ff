package io.expertatlas.predictor.spark;

import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.LayerTrainer;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.nd4j.TrainingRunner;
import java.util.List;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.LongAccumulator;

/**
 * Trains layers as one Spark job, a task for each layer. Tasks read the state store and write their
 * checkpoints under its folder, which every executor must see. The weights are those of {@link
 * io.expertatlas.predictor.nd4j.LocalRunner}: a layer's training depends on its task alone.
 */
public final class TrainJob implements TrainingRunner {
  private static final long POLL_MILLIS = 200;

  private final String master;

  /**
   * Creates the job.
   *
   * @param master Spark master; empty: what spark-submit says, else all cores of this machine
   */
  public TrainJob(String master) {
    this.master = master;
  }

  @Override
  public List<TrainedLayer> train(List<LayerTask> tasks, Runnable epochDone) {
    SparkConf conf = new SparkConf().setAppName("ExpertAtlas train-predictor");
    if (!master.isEmpty()) {
      conf.setMaster(master);
    }

    conf.setIfMissing("spark.master", "local[*]");
    conf.setIfMissing("spark.ui.enabled", "false");
    conf.setIfMissing("spark.ui.showConsoleProgress", "false");
    if (conf.get("spark.master").matches("local(\\[[^,]*])?")) {
      conf.setIfMissing("spark.driver.host", "localhost");
      conf.setIfMissing("spark.driver.bindAddress", "127.0.0.1");
    }

    try (JavaSparkContext spark = new JavaSparkContext(conf)) {
      return train(spark, tasks, epochDone);
    }
  }

  /** Trains in a Spark application that runs already. */
  static List<TrainedLayer> train(
      JavaSparkContext spark, List<LayerTask> tasks, Runnable epochDone) {
    LongAccumulator layers = spark.sc().longAccumulator("layers trained");
    spark.setLocalProperty("spark.job.description", "Train %d layers".formatted(tasks.size()));
    Thread watcher = watch(layers, tasks, epochDone);
    try {
      return spark
          .parallelize(tasks, Math.max(1, tasks.size()))
          .map(
              task -> {
                TrainedLayer trained = LayerTrainer.train(task, () -> {});
                layers.add(1);
                return trained;
              })
          .collect();
    } catch (Exception e) { // Scala throws checked exceptions undeclared
      throw unwrap(e);
    } finally {
      watcher.interrupt();
      spark.setLocalProperty("spark.job.description", null);
    }
  }

  /** Tells the epochs of the layers that are done; accumulators move when a task ends. */
  private static Thread watch(LongAccumulator layers, List<LayerTask> tasks, Runnable epochDone) {
    Thread watcher =
        new Thread(
            () -> {
              long told = 0;
              int epochs = tasks.isEmpty() ? 0 : tasks.get(0).config().epochs();
              try {
                while (told < (long) tasks.size() * epochs) {
                  for (; told < layers.value() * epochs; told++) {
                    epochDone.run();
                  }

                  Thread.sleep(POLL_MILLIS);
                }
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            "training-progress");
    watcher.setDaemon(true);
    watcher.start();
    return watcher;
  }

  /** The failure of the task, without what Spark says around it. */
  private static RuntimeException unwrap(Exception failure) {
    Throwable cause = failure;
    while (cause instanceof SparkException && cause.getCause() != null) {
      cause = cause.getCause();
    }

    return cause instanceof RuntimeException known
        ? known
        : new IllegalStateException("The training failed: " + cause.getMessage(), failure);
  }
}
