package io.expertatlas.affinity.spark;

import io.expertatlas.trace.terminal.StageProgress;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/** Tells progress of every task that ends well. */
final class TaskCounter extends SparkListener {
  private final StageProgress progress;

  TaskCounter(StageProgress progress) {
    this.progress = progress;
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd end) {
    if (end.taskInfo().successful()) {
      progress.advanced();
    }
  }
}
