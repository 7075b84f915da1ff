package io.expertatlas.runtime;

import java.util.Objects;

/**
 * The rows (tokens) that a rank works on in a step, packed without padding: prefill, decode and any
 * mixture look alike. The rows of a sequence stand next to each other, in order of position, and
 * make up a <i>run</i>. What depends on the data lies in tensors, so that a captured step can be
 * replayed with other contents; the numbers are what a launch needs to know, and bounds.
 *
 * @param rows number of rows
 * @param runs number of runs
 * @param longestRun no run has more rows
 * @param longestContext no row sees more of a cache than this
 * @param slots I32 {@code [rows]}: the slot of the caches that a row's sequence owns
 * @param positions I32 {@code [rows]}: the row's position in its sequence, from 0
 * @param visible I32 {@code [rows]}: how many entries of its slot a row attends to: {@code position
 *     + 1} in causal attention, the length of the source in an encoder and in cross attention
 * @param runStarts I32 {@code [runs + 1]}: first row of each run, then {@code rows}
 */
public record Batch(
    int rows,
    int runs,
    int longestRun,
    int longestContext,
    Tensor slots,
    Tensor positions,
    Tensor visible,
    Tensor runStarts) {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if there are more runs than rows, or a negative number
   */
  public Batch {
    if (rows < 0 || runs < 0 || runs > rows || longestRun < 0 || longestContext < 0) {
      throw new IllegalArgumentException(
          "Invalid batch: %d rows in %d runs of at most %d, context %d"
              .formatted(rows, runs, longestRun, longestContext));
    }

    Objects.requireNonNull(slots, "slots is null");
    Objects.requireNonNull(positions, "positions is null");
    Objects.requireNonNull(visible, "visible is null");
    Objects.requireNonNull(runStarts, "runStarts is null");
  }
}
