package io.expertatlas.affinity.spark;

import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/** Tells progress of every task that ends well. */
final class TaskCounter extends SparkListener {
  private final AnalyzeProgress progress;

  TaskCounter(AnalyzeProgress progress) {
    this.progress = progress;
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd end) {
    if (end.taskInfo().successful()) {
      progress.advanced();
    }
  }
}
