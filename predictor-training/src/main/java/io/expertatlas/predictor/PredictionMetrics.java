package io.expertatlas.predictor;

import java.util.List;

/**
 * What a predictor was worth at one head-out.
 *
 * @param headOut layers between the input and the layer predicted
 * @param leadLayers mean number of layers between the moment of the prediction and its use
 * @param sequences scored
 * @param iterations of tokens, for popularity
 * @param caches cache sizes of {@link LayerMetrics#recall}; the first is k
 * @param leastCount the n of {@link LayerMetrics#leastWithin}
 * @param overall all layers together
 * @param layers each predicted layer
 */
public record PredictionMetrics(
    int headOut,
    double leadLayers,
    int sequences,
    int iterations,
    List<Integer> caches,
    int leastCount,
    LayerMetrics overall,
    List<LayerMetrics> layers) {
  /** Copies the lists. */
  public PredictionMetrics {
    caches = List.copyOf(caches);
    layers = List.copyOf(layers);
  }

  /** Share of the k choices that are among the k most likely experts. */
  public Estimate recallAtK() {
    return overall.recall().get(0);
  }
}
