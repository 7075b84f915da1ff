package io.expertatlas.predictor.nd4j;

import java.util.List;

/** Trains layers, side by side; on threads of this machine, or as a Spark job. */
@FunctionalInterface
public interface TrainingRunner {
  /**
   * Trains every task.
   *
   * @param epochDone is called, from one thread at a time, about as often as an epoch of a task
   *     ends
   * @return the trained layers, in the order of the tasks
   */
  List<TrainedLayer> train(List<LayerTask> tasks, Runnable epochDone);
}
