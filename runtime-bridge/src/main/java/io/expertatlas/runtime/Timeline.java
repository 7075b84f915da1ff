package io.expertatlas.runtime;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;

/**
 * What ran when: spans per rank and stream, in order of begin. Simulator and executor emit the same
 * form. Immutable.
 */
public final class Timeline {
  private final List<Span> spans;

  /** A timeline of these spans. */
  public Timeline(List<Span> spans) {
    List<Span> sorted = new ArrayList<>(spans);
    sorted.sort(
        Comparator.comparingLong(Span::beginNanos)
            .thenComparingInt(Span::rank)
            .thenComparing(Span::stream));
    this.spans = List.copyOf(sorted);
  }

  /** The spans, in order of begin, rank, stream. */
  public List<Span> spans() {
    return spans;
  }

  /**
   * One piece of work.
   *
   * @param rank where
   * @param stream on which queue of it: {@code compute}, {@code copy}, ...
   * @param work what
   * @param beginNanos from an arbitrary start, common to all ranks
   * @param endNanos not before the begin
   */
  public record Span(int rank, String stream, String work, long beginNanos, long endNanos) {
    /**
     * Checks the span.
     *
     * @throws IllegalArgumentException if it ends before it begins or the rank is negative
     */
    public Span {
      Objects.requireNonNull(stream, "stream is null");
      Objects.requireNonNull(work, "work is null");
      if (rank < 0 || endNanos < beginNanos) {
        throw new IllegalArgumentException(
            "Invalid span %s: rank %d, from %d to %d ns"
                .formatted(work, rank, beginNanos, endNanos));
      }
    }
  }
}
