package io.expertatlas.runtime.benchmark;

import java.util.List;

/**
 * What is measured.
 *
 * @param batches sequences of each decode measurement
 * @param context tokens of a sequence before its first decode step
 * @param steps decode steps of a round
 * @param prompts sequences of the prefill measurement
 * @param length tokens of each of them
 * @param rounds measured rounds; one more runs before, unmeasured
 * @param seed of random prompts
 */
public record Settings(
    List<Integer> batches, int context, int steps, int prompts, int length, int rounds, long seed) {
  private static final int MOST_ROWS = 1 << 20;

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is below 1, or too large
   */
  public Settings {
    batches = List.copyOf(batches);
    int least = Math.min(Math.min(context, steps), Math.min(Math.min(prompts, length), rounds));
    if (batches.isEmpty() || batches.stream().anyMatch(batch -> batch < 1) || least < 1) {
      throw new IllegalArgumentException(
          ("Invalid benchmark: batches %s, context %d, %d steps, prefill %d x %d, %d rounds, each at"
                  + " least 1")
              .formatted(batches, context, steps, prompts, length, rounds));
    }

    if ((long) prompts * length > MOST_ROWS || (long) context + steps > MOST_ROWS) {
      throw new IllegalArgumentException(
          "Invalid benchmark: prefill %d x %d, context %d and %d steps, each at most %d tokens"
              .formatted(prompts, length, context, steps, MOST_ROWS));
    }
  }

  /** Most sequences at once. */
  public int sequences() {
    return Math.max(prompts, batches.stream().mapToInt(batch -> batch).max().orElseThrow());
  }

  /** Most tokens of a sequence. */
  public int capacity() {
    return Math.max(length + 1, context + steps + 1);
  }

  /** Tokens of a prefill step: the measured prefill is one step. */
  public int rows() {
    return Math.max(prompts * length, sequences());
  }
}
