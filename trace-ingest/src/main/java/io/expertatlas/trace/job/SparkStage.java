package io.expertatlas.trace.job;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.terminal.StageProgress;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/** Runs Spark work under a name, tells its progress, and says what failed in a task. */
public final class SparkStage {
  private static final Pattern OURS =
      Pattern.compile(Pattern.quote(TraceFormatException.class.getName()) + ": (.*)");

  private final JavaSparkContext spark;
  private final StageProgress progress;

  /**
   * Creates a runner of stages, one at a time.
   *
   * @param spark stays open
   * @param progress is told of every task that succeeds
   */
  public SparkStage(JavaSparkContext spark, StageProgress progress) {
    this.spark = spark;
    this.progress = progress;
  }

  /**
   * Runs a stage.
   *
   * @param name of the stage
   * @param tasks number of tasks that the work starts
   * @throws TraceFormatException if a task threw one, with its message
   * @throws IllegalStateException if Spark failed for another reason, in one line
   */
  public <T> T run(String name, int tasks, Supplier<T> work) {
    TaskCounter counter = new TaskCounter(progress);
    spark.setLocalProperty("spark.job.description", name);
    progress.started(name, tasks);
    spark.sc().addSparkListener(counter);
    try {
      return work.get();
    } catch (Exception e) { // Scala throws checked exceptions undeclared
      throw unwrapped(name, e);
    } finally {
      spark.sc().removeSparkListener(counter);
      progress.ended();
      spark.setLocalProperty("spark.job.description", null);
    }
  }

  /**
   * The failure to throw on: a task's {@link TraceFormatException} with its own message, whether
   * Spark kept it as a cause or as text only; what Spark says otherwise without what it wraps
   * around it; anything else as it is.
   */
  static RuntimeException unwrapped(String stage, Exception failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof TraceFormatException e) {
        return new TraceFormatException(e.getMessage(), failure);
      }
    }

    Matcher matcher = OURS.matcher(String.valueOf(failure.getMessage()));
    if (matcher.find()) {
      return new TraceFormatException(matcher.group(1), failure);
    }

    if (failure instanceof RuntimeException e) {
      return e;
    }

    Throwable root = failure;
    while (failure instanceof SparkException && root.getCause() != null) {
      root = root.getCause();
    }

    String reason = root.getMessage() == null ? root.getClass().getSimpleName() : root.getMessage();
    return new IllegalStateException(
        "Cannot finish stage '%s': %s".formatted(stage, reason.lines().findFirst().orElse("")),
        failure);
  }

  /** Tells progress of every task that ends well. */
  private static final class TaskCounter extends SparkListener {
    private final StageProgress progress;

    TaskCounter(StageProgress progress) {
      this.progress = progress;
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
      if (end.taskInfo() != null && end.taskInfo().successful()) {
        progress.advanced();
      }
    }
  }
}
