package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.AffineHeads;
import java.io.Serializable;

/**
 * The heads of a layer, trained.
 *
 * @param layer whose router input they read
 * @param heads the weights of the best epoch
 * @param epoch that gave them, counted from 1; 0: the start was best
 * @param validationRecall recall at k on the validation rows, with these weights
 */
public record TrainedLayer(int layer, AffineHeads heads, int epoch, double validationRecall)
    implements Serializable {}
