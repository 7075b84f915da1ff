package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * What an analysis found, in figures: one for each layer and for each pair of adjacent layers.
 *
 * @param trace where the trace was
 * @param selection which part of it was counted
 * @param shape the model's shape
 * @param tokens number of tokens counted
 * @param seed of the shuffled controls
 * @param layers {@code [layer]}
 * @param gaps {@code [gap]}, one fewer
 */
public record AffinitySummary(
    String trace,
    TokenSelection selection,
    ModelShape shape,
    long tokens,
    long seed,
    List<LayerMetrics> layers,
    List<GapMetrics> gaps) {
  /**
   * Copies the lists.
   *
   * @throws IllegalArgumentException if they are not of the shape
   */
  public AffinitySummary {
    Objects.requireNonNull(trace, "trace is null");
    Objects.requireNonNull(selection, "selection is null");
    if (layers.size() != shape.layers() || gaps.size() != shape.layers() - 1) {
      throw new IllegalArgumentException(
          "Invalid summary: metrics of %d layers and %d gaps for %s"
              .formatted(layers.size(), gaps.size(), shape));
    }

    layers = List.copyOf(layers);
    gaps = List.copyOf(gaps);
  }

  /** Computes the metrics of the counts. */
  public static AffinitySummary of(
      RouteCounts counts, String trace, TokenSelection selection, long seed) {
    List<LayerMetrics> layers = new ArrayList<>();
    for (int layer = 0; layer < counts.shape().layers(); layer++) {
      layers.add(LayerMetrics.of(counts.popularity(), layer));
    }

    List<GapMetrics> gaps = new ArrayList<>();
    for (int gap = 0; gap < counts.transitions().gaps(); gap++) {
      gaps.add(GapMetrics.of(counts.transitions(), gap, seed));
    }

    return new AffinitySummary(
        trace, selection, counts.shape(), counts.tokens(), seed, layers, gaps);
  }
}
