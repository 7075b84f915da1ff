package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.RoutingCounts;
import java.io.Serializable;

/**
 * What is known of a trace before layers are trained on it.
 *
 * @param train routes of the tokens to train on
 * @param validationTokens tokens that choose the epoch
 */
public record TrainingCounts(RoutingCounts train, long validationTokens) implements Serializable {
  /** Adds what was counted of other tokens to this; gives both. */
  public TrainingCounts add(TrainingCounts other) {
    return new TrainingCounts(train.add(other.train), validationTokens + other.validationTokens);
  }
}
