package io.expertatlas.trace;

import java.util.stream.LongStream;
import java.util.stream.Stream;

/**
 * Seeds for tests that draw their cases: {@code @MethodSource} of a parameterized test calls {@link
 * #seeded}. The seed stands in the display name of a failing case; {@code -Dcases.seed=SEED} runs
 * that case alone.
 */
public final class Cases {
  private Cases() {}

  /** {@link #seeded} with 100 cases, for {@code @MethodSource}. */
  public static Stream<Long> seededHundred() {
    return seeded(100);
  }

  /** The seeds 1 to {@code count}, or the one that was asked for. */
  public static Stream<Long> seeded(int count) {
    Long only = Long.getLong("cases.seed");
    return only == null ? LongStream.rangeClosed(1, count).boxed() : Stream.of(only);
  }
}
