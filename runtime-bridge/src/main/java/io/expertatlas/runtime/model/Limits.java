package io.expertatlas.runtime.model;

/**
 * The largest work that a model is asked for; its memory is planned by it.
 *
 * @param sequences at most so many at once
 * @param capacity tokens of a sequence, prompt and new ones
 * @param rows tokens of a step
 */
public record Limits(int sequences, int capacity, int rows) {
  /**
   * Checks the limits.
   *
   * @throws IllegalArgumentException if one is not positive or no decode step fits
   */
  public Limits {
    if (sequences < 1 || capacity < 1 || rows < sequences) {
      throw new IllegalArgumentException(
          "Invalid limits: %d sequences of %d tokens, %d rows a step, at least one a sequence"
              .formatted(sequences, capacity, rows));
    }
  }
}
