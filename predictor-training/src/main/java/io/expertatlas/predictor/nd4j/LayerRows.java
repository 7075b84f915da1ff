package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.store.LayerStates;

/**
 * What one layer is trained on. Arrays are taken over.
 *
 * @param states for one thread
 * @param train rows to train on, ascending
 * @param validation rows that choose the epoch, ascending
 */
@SuppressWarnings("ArrayRecordComponent") // shared by the layers
public record LayerRows(LayerStates states, int[] train, int[] validation) {}
