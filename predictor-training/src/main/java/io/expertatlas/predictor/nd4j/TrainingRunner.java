package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.SequenceSplit;
import java.util.List;

/**
 * A trace, and what trains on it, layers side by side: threads of this machine, or a Spark job. The
 * same tasks give the same weights.
 */
public interface TrainingRunner extends AutoCloseable {
  /** The sequences of the tokens that are there, each once. */
  int[] sequences();

  /**
   * Counts the tokens of a split.
   *
   * @param lookahead greatest head-out
   */
  TrainingCounts count(SequenceSplit split, int lookahead);

  /**
   * Trains every task.
   *
   * @param epochDone is called, from one thread at a time, about as often as an epoch of a task
   *     ends
   * @return the trained layers, in the order of the tasks
   */
  List<TrainedLayer> train(List<LayerTask> tasks, SequenceSplit split, Runnable epochDone);

  @Override
  void close();
}
