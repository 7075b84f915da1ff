package io.expertatlas.runtime.model;

import java.util.SplittableRandom;

/**
 * How the next token is chosen.
 *
 * @param temperature 0 for the likeliest token, else what logits are divided by
 * @param topP probability that the tokens to choose from must reach together
 * @param seed of the draws: each sequence has a generator of its own, so that a sequence's tokens
 *     do not depend on those beside it
 */
public record Sampler(float temperature, float topP, long seed) {
  /** Always the likeliest token, the lowest id of equal ones. */
  public static final Sampler GREEDY = new Sampler(0, 1, 0);

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is out of range
   */
  public Sampler {
    if (!(temperature >= 0) || temperature == Float.POSITIVE_INFINITY) {
      throw new IllegalArgumentException(
          "Invalid temperature: %s, 0 or more".formatted(temperature));
    }

    if (!(topP > 0 && topP <= 1)) {
      throw new IllegalArgumentException(
          "Invalid top-p: %s, above 0 and at most 1".formatted(topP));
    }
  }

  boolean isGreedy() {
    return temperature == 0;
  }

  /** The draws of a sequence, numbers in [0, 1). */
  SplittableRandom draws(int sequence) {
    return new SplittableRandom(seed * 0x9E3779B97F4A7C15L + sequence);
  }
}
