package io.expertatlas.predictor.nd4j;

import java.io.Serializable;

/**
 * How one layer is trained: what a thread or a Spark task is told. Arrays are taken over.
 *
 * @param config how
 * @param layer whose router input is read
 * @param heads head-outs, at least 1
 * @param start {@code [heads * experts][hidden]}: the gates of the layers predicted; empty: random
 * @param startBias {@code [heads * experts]}, or empty
 * @param logAffinity {@code [heads][from][to]}: features of kinds that know routes
 * @param checkpoint file in which progress is kept; empty: none
 */
@SuppressWarnings("ArrayRecordComponent") // data of a task
public record LayerTask(
    TrainerConfig config,
    int layer,
    int heads,
    float[] start,
    float[] startBias,
    float[] logAffinity,
    String checkpoint)
    implements Serializable {
  /** The same without a place for its progress. */
  public LayerTask withoutCheckpoint() {
    return new LayerTask(config, layer, heads, start, startBias, logAffinity, "");
  }
}
