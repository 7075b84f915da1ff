package io.expertatlas.affinity.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.SparkSubmit;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * The job jar on a Spark standalone cluster: a master and two workers, all processes. Left out by
 * {@code -Dstandalone=false}.
 */
@DisabledIfSystemProperty(
    named = "standalone",
    matches = "false",
    disabledReason = "left out by -Dstandalone=false")
@Timeout(600)
class StandaloneIT {
  private static final int TASKS = 48;
  private static final int TASK_TOKENS = 1 << 14; // as many as the job gives a task at least
  private static final ModelShape SHAPE = new ModelShape(13, 64, 6); // 0.1 s a task
  private static final Path TARGET =
      Path.of(System.getProperty("expertatlas.root"), "affinity-analysis", "target");

  @TempDir private Path temp;

  private SparkSubmit.Result submit(SparkSubmit spark, String master, Path trace, Path output)
      throws IOException, InterruptedException {
    return spark.run(
        master,
        TARGET.resolve("affinity-analysis-job.jar"),
        "io.expertatlas.affinity.cli.Main",
        List.of(
            "analyze",
            "--trace",
            trace.toString(),
            "--experts",
            String.valueOf(SHAPE.experts()),
            "--output",
            output.toString()));
  }

  @Test
  void countsAreTheSameOnAClusterAndAfterTheLossOfAWorker() throws Exception {
    byte[] block = AnalyzeBenchmark.bytes(SyntheticTrace.draw(SHAPE, TASK_TOKENS, 100, 0.5, 3));
    Path trace = temp.resolve("trace.npy");
    PlainLoops.write(trace, SHAPE, block, TASKS);
    RouteCounts expected;
    try (TraceReader reader =
        TraceFormat.openTrace(TraceSource.of(trace).withExperts(SHAPE.experts()))) {
      expected = InMemoryEstimator.count(reader);
    }

    Path home = temp.resolve("spark");
    SparkSubmit spark = SparkSubmit.in(home, TARGET.resolve("lib"), "echarts");
    Files.createDirectories(home.resolve("conf"));
    Files.writeString(
        home.resolve("conf/spark-defaults.conf"),
        """
        spark.default.parallelism %d
        # no task before the executors of both workers are there
        spark.cores.max 2
        spark.scheduler.minRegisteredResourcesRatio 1.0
        spark.scheduler.maxRegisteredResourcesWaitingTime 180s
        """
            .formatted(TASKS));
    try (StandaloneCluster cluster = StandaloneCluster.start(home, 2)) {
      SparkSubmit.Result whole = submit(spark, cluster.url(), trace, temp.resolve("whole"));
      assertThat(whole.exitCode()).as(whole.err()).isZero();
      assertThat(AffinityFiles.read(temp.resolve("whole"))).isEqualTo(expected);

      long[] before = {cluster.finishedTasks(0), cluster.finishedTasks(1)};
      assertThat(before).as("both workers took part").doesNotContain(0L);
      CompletableFuture<SparkSubmit.Result> job =
          CompletableFuture.supplyAsync(
              () -> {
                try {
                  return submit(spark, cluster.url(), trace, temp.resolve("survived"));
                } catch (IOException | InterruptedException e) {
                  throw new IllegalStateException(e);
                }
              });
      while (cluster.finishedTasks(1) < before[1] + 2 && !job.isDone()) {
        Thread.sleep(10);
      }

      cluster.kill(1);
      long done = cluster.finishedTasks(1) - before[1];
      assertThat(job.isDone()).as("killed in mid-job").isFalse();
      cluster.awaitWorkers("DEAD", 1);
      SparkSubmit.Result survived = job.get();

      assertThat(survived.exitCode()).as(survived.err()).isZero();
      assertThat(AffinityFiles.read(temp.resolve("survived"))).isEqualTo(expected);
      assertThat(done).isBetween(2L, TASKS / 2L);
      assertThat(cluster.finishedTasks(0) - before[0])
          .as("the other worker did every task, lost results of the killed one included")
          .isGreaterThanOrEqualTo(TASKS - done);
    }
  }
}
