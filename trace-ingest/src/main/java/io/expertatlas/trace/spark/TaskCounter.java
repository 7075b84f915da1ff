package io.expertatlas.trace.spark;

import io.expertatlas.trace.terminal.StageProgress;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/** Tells a progress about every task that succeeds while this listens. */
final class TaskCounter extends SparkListener {
  private final StageProgress progress;

  TaskCounter(StageProgress progress) {
    this.progress = progress;
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd taskEnd) {
    if (taskEnd.taskInfo() != null && taskEnd.taskInfo().successful()) {
      progress.advanced();
    }
  }
}
