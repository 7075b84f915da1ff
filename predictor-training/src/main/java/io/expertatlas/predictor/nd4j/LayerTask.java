package io.expertatlas.predictor.nd4j;

import java.io.Serializable;

/**
 * The training of one layer: what a thread or a Spark task works on. Arrays are taken over.
 *
 * @param config how
 * @param layer whose router input is read
 * @param heads head-outs, at least 1
 * @param store folder of the {@link io.expertatlas.predictor.store.StateStore}
 * @param train rows of the store to train on, ascending
 * @param validation rows that choose the epoch, ascending
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
    String store,
    int[] train,
    int[] validation,
    float[] start,
    float[] startBias,
    float[] logAffinity,
    String checkpoint)
    implements Serializable {}
