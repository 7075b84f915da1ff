package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.Objects;

/**
 * Popularity over time: the choices of each window, windows without tokens left out.
 *
 * @param shape the model's shape
 * @param length tokens of the trace in a window, or, for counts, iterations; 0 if nothing was
 *     counted
 * @param windows in the order of time
 */
public record WindowCounts(ModelShape shape, long length, List<Window> windows) {
  /** Copies the list. */
  public WindowCounts {
    Objects.requireNonNull(shape, "shape is null");
    windows = List.copyOf(windows);
  }

  /** No windows. */
  public static WindowCounts none(ModelShape shape) {
    return new WindowCounts(shape, 0, List.of());
  }

  /**
   * A window.
   *
   * @param index of the window: it begins {@code index * length} tokens behind the first one
   * @param tokens counted in it, at least 1
   * @param popularity their choices at any rank and first choices
   */
  public record Window(long index, long tokens, Popularity popularity) {}
}
