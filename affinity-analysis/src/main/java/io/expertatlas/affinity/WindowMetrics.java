package io.expertatlas.affinity;

import java.util.ArrayList;
import java.util.List;

/**
 * How a layer was loaded in a window, how far it drifted from the window before, and how well it
 * could be foretold. Distances are total variations {@code 1/2 sum |p - q|} of popularity.
 *
 * @param index of the window
 * @param tokens counted in it
 * @param load popularity and its evenness in the window
 * @param drift distance to the window before, which is also the error of the persistence forecast
 *     (the next window is as this one); NaN in the first window
 * @param driftNoise the drift that two samples of these sizes show though nothing changes, see
 *     {@link Distances#expectedTotalVariation}; NaN in the first window
 * @param emaError distance to the forecast of the exponential moving average {@code f = a p + (1 -
 *     a) f} of all windows before, which begins with the first; NaN in the first window
 */
public record WindowMetrics(
    long index, long tokens, LayerMetrics load, double drift, double driftNoise, double emaError) {
  /**
   * The metrics of a layer in all windows.
   *
   * @param alpha weight of the newest window in the moving average, above 0, at most 1
   */
  public static List<WindowMetrics> of(WindowCounts counts, int layer, double alpha) {
    if (!(alpha > 0 && alpha <= 1)) {
      throw new IllegalArgumentException(
          "Invalid weight of the moving average: %s, above 0, at most 1".formatted(alpha));
    }

    List<WindowMetrics> metrics = new ArrayList<>();
    double[] before = {};
    double[] forecast = {};
    long tokensBefore = 0;
    for (WindowCounts.Window window : counts.windows()) {
      double[] now = Distances.shares(window.popularity(), layer);
      LayerMetrics load = LayerMetrics.of(window.popularity(), layer);
      if (metrics.isEmpty()) {
        metrics.add(
            new WindowMetrics(
                window.index(), window.tokens(), load, Double.NaN, Double.NaN, Double.NaN));
        forecast = now.clone();
      } else {
        double[] pooled = Distances.pooled(before, tokensBefore, now, window.tokens());
        metrics.add(
            new WindowMetrics(
                window.index(),
                window.tokens(),
                load,
                Distances.totalVariation(before, now),
                Distances.expectedTotalVariation(
                    pooled, tokensBefore, window.tokens(), counts.shape().topK()),
                Distances.totalVariation(forecast, now)));
        for (int i = 0; i < now.length; i++) {
          forecast[i] = alpha * now[i] + (1 - alpha) * forecast[i];
        }
      }

      before = now;
      tokensBefore = window.tokens();
    }

    return metrics;
  }
}
