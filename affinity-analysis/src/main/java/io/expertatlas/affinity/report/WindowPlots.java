package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.WindowCounts;
import io.expertatlas.affinity.WindowMetrics;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * Plots of popularity over time. More than 160 windows are drawn in bins of consecutive windows: a
 * bin shows the mean of its windows.
 */
final class WindowPlots {
  private static final int MAX_BINS = 160;

  private final List<List<WindowMetrics>> layers = new ArrayList<>(); // [layer][window]
  private final int windows;
  private final int bin;

  WindowPlots(WindowCounts counts, double alpha) {
    windows = counts.windows().size();
    bin = (windows + MAX_BINS - 1) / MAX_BINS;
    for (int layer = 0; layer < counts.shape().layers(); layer++) {
      layers.add(WindowMetrics.of(counts, layer, alpha));
    }
  }

  /** What a point stands for, if not for one window. */
  String binned() {
    return bin == 1 ? "" : " A point is the mean of %d windows.".formatted(bin);
  }

  /** Mean over all windows but the first, and all layers. */
  double mean(ToDoubleFunction<WindowMetrics> value) {
    double sum = 0;
    for (List<WindowMetrics> layer : layers) {
      for (WindowMetrics window : layer.subList(1, layer.size())) {
        sum += value.applyAsDouble(window);
      }
    }

    return windows < 2 ? 0 : sum / layers.size() / (windows - 1);
  }

  /** Means of bins of a layer's windows, from a first window on. */
  private List<Double> points(
      List<WindowMetrics> layer, int first, ToDoubleFunction<WindowMetrics> value) {
    List<Double> points = new ArrayList<>();
    for (int from = first; from < windows; from += bin) {
      int to = Math.min(windows, from + bin);
      double sum = 0;
      for (WindowMetrics window : layer.subList(from, to)) {
        sum += value.applyAsDouble(window);
      }

      points.add(sum / (to - from));
    }

    return points;
  }

  private List<Double> meanPoints(ToDoubleFunction<WindowMetrics> value) {
    List<Double> means = new ArrayList<>();
    for (List<WindowMetrics> layer : layers) {
      List<Double> points = points(layer, 1, value);
      for (int i = 0; i < points.size(); i++) {
        if (means.size() == i) {
          means.add(0.0);
        }

        means.set(i, means.get(i) + points.get(i) / layers.size());
      }
    }

    return means;
  }

  private List<String> names(int first) {
    List<String> names = new ArrayList<>();
    for (int from = first; from < windows; from += bin) {
      names.add(Long.toString(layers.get(0).get(from).index()));
    }

    return names;
  }

  /** Drift, its noise floor and the error of the moving average, means over the layers. */
  ObjectNode drift() {
    ObjectNode option =
        Options.lines(
            Options.names("Window", names(1)).put("boundaryGap", windows < 3),
            Options.values("Total variation", "pct0"),
            "Window",
            "pct");
    ArrayNode series = option.putArray("series");
    series.add(
        Options.line(
            "Drift from the window before", meanPoints(WindowMetrics::drift), "$series.0"));
    series.add(
        Options.line(
            "Error of the moving average", meanPoints(WindowMetrics::emaError), "$series.1"));
    series.add(
        Options.dashed(
            Options.line("Sampling noise", meanPoints(WindowMetrics::driftNoise), "$neutral")));
    return option;
  }

  int heatHeight() {
    return 140 + Math.max(3, layers.size()) * (layers.size() <= 16 ? 22 : 10);
  }

  /** Heat map of layer x window: drift over its noise floor. */
  ObjectNode heat() {
    ObjectNode option = Options.object();
    option
        .putObject("tooltip")
        .put(
            "formatter",
            "@Layer {value.1}, window {name}\nDrift <b>{value.3:pct}</b>, noise {value.4:pct}");
    option.putObject("grid").put("left", 62).put("right", 16).put("top", 8).put("bottom", 104);
    option.set("xAxis", Options.names("Window", names(1)));
    option.set(
        "yAxis", Options.counted("Layer", layers.size()).put("inverse", true).put("nameGap", 38));
    ObjectNode series = option.putArray("series").addObject();
    series.put("type", "heatmap").put("progressive", 0);
    ArrayNode data = series.putArray("data");
    double top = 2;
    for (int layer = 0; layer < layers.size(); layer++) {
      List<Double> drift = points(layers.get(layer), 1, WindowMetrics::drift);
      List<Double> noise = points(layers.get(layer), 1, WindowMetrics::driftNoise);
      for (int i = 0; i < drift.size(); i++) {
        double times = noise.get(i) == 0 ? 0 : drift.get(i) / noise.get(i);
        top = Math.max(top, times);
        data.addArray()
            .add(i)
            .add(layer)
            .add(Options.rounded(times))
            .add(Options.rounded(drift.get(i)))
            .add(Options.rounded(noise.get(i)));
      }
    }

    option.set(
        "visualMap", AffinityPlots.colours(0, Math.ceil(top), "$sequential", "@{value:times}"));
    return option;
  }

  /** Max over mean of the load over time, by layer. */
  SmallMultiples load() {
    SmallMultiples plots = new SmallMultiples(layers.size(), names(0), "Window", "f1");
    for (int panel = 0; panel < plots.panels(); panel++) {
      plots.line(
          panel,
          "Max / mean",
          points(layers.get(plots.layer(panel)), 0, window -> window.load().maxOverMean()),
          "$series.0",
          false);
    }

    return plots;
  }
}
