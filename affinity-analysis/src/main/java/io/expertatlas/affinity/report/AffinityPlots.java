package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.GapMetrics;
import io.expertatlas.affinity.LayerMetrics;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/** The plots of popularity and of affinity figures, as ECharts options for {@link HtmlReport}. */
public final class AffinityPlots {
  private static final double POPULARITY_RANGE = 3; // doublings above and below the even share

  private AffinityPlots() {}

  /** Height in pixels that the popularity heat map of a model wants. */
  public static int popularityHeight(ModelShape shape) {
    int row = shape.layers() <= 16 ? 26 : shape.layers() <= 40 ? 17 : 10;
    return 130 + Math.max(3, shape.layers()) * row;
  }

  /** Heat map of layer x expert: choices over the even share, on a scale of doublings. */
  public static ObjectNode popularity(Popularity popularity) {
    ModelShape shape = popularity.shape();
    ObjectNode option = Options.object();
    option
        .putObject("tooltip")
        .put(
            "formatter",
            "@Layer {value.1}, expert {value.0}\n<b>{value.3:times}</b> the even share\n"
                + "{value.4:int} choices");
    option.putObject("grid").put("left", 62).put("right", 16).put("top", 8).put("bottom", 104);
    option.set("xAxis", Options.counted("Expert", shape.experts()));
    ObjectNode layers = Options.counted("Layer", shape.layers());
    layers.put("inverse", true).put("nameGap", 38);
    option.set("yAxis", layers);
    ObjectNode series = option.putArray("series").addObject();
    series.put("type", "heatmap").put("progressive", 0);
    ObjectNode style = series.putObject("itemStyle");
    style.put("borderColor", "$card").put("borderWidth", shape.totalExperts() > 4000 ? 0 : 1);
    series
        .putObject("emphasis")
        .putObject("itemStyle")
        .put("borderColor", "$ink")
        .put("borderWidth", 2);
    ArrayNode data = series.putArray("data");
    double range = 1;
    for (int layer = 0; layer < shape.layers(); layer++) {
      long total = 0;
      for (int expert = 0; expert < shape.experts(); expert++) {
        total += popularity.choices(layer, expert);
      }

      for (int expert = 0; expert < shape.experts(); expert++) {
        long choices = popularity.choices(layer, expert);
        double times = total == 0 ? 0 : choices * (double) shape.experts() / total;
        double doublings = times == 0 ? -POPULARITY_RANGE : Math.log(times) / Math.log(2);
        double shown = Math.max(-POPULARITY_RANGE, Math.min(POPULARITY_RANGE, doublings));
        range = Math.max(range, Math.ceil(Math.abs(shown)));
        data.addArray()
            .add(expert)
            .add(layer)
            .add(Options.rounded(shown))
            .add(Options.rounded(times))
            .add(choices);
      }
    }

    option.set("visualMap", colours(-range, range, "$diverging", "@{value:pow2}"));
    return option;
  }

  /** A horizontal colour scale under the plot, for the third number of each point. */
  static ObjectNode colours(double min, double max, String palette, String format) {
    ObjectNode map = Options.object();
    map.put("type", "continuous").put("min", min).put("max", max).put("dimension", 2);
    map.put("orient", "horizontal").put("left", "center").put("bottom", 6);
    map.put("itemWidth", 14).put("itemHeight", 260).put("calculable", true);
    map.put("formatter", format);
    map.putObject("inRange").put("color", palette);
    return map;
  }

  /** Two curves over layers: load of the busiest expert over the mean, and the Gini coefficient. */
  public static ObjectNode load(AffinitySummary summary) {
    return load(summary.layers());
  }

  /** The same of layers. */
  static ObjectNode load(List<LayerMetrics> layers) {
    ObjectNode option = Options.object();
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put("formatter", "@Layer {axisValue}\n{marker}{seriesName}: <b>{value:f2}</b>");
    ArrayNode grids = option.putArray("grid");
    grids.addObject().put("left", 62).put("width", "40%").put("top", 36).put("bottom", 54);
    grids.addObject().put("left", "56%").put("right", 16).put("top", 36).put("bottom", 54);
    ArrayNode titles = option.putArray("title");
    titles.addObject().put("text", "Busiest expert over mean load").put("left", 54).put("top", 4);
    titles.addObject().put("text", "Gini coefficient of the load").put("left", "55%").put("top", 4);
    ArrayNode x = option.putArray("xAxis");
    ArrayNode y = option.putArray("yAxis");
    for (int i = 0; i < 2; i++) {
      x.add(Options.counted("Layer", layers.size()).put("gridIndex", i));
    }

    y.add(Options.values("Max / mean", "f1").put("gridIndex", 0).put("nameGap", 40));
    ObjectNode gini = Options.values("Gini", "f1").put("gridIndex", 1).put("nameGap", 36);
    y.add(gini.put("max", 1));
    ArrayNode series = option.putArray("series");
    series.add(
        layerLine("Max / mean", layers, LayerMetrics::maxOverMean, "$series.0")
            .put("xAxisIndex", 0)
            .put("yAxisIndex", 0));
    series.add(
        layerLine("Gini", layers, LayerMetrics::gini, "$series.1")
            .put("xAxisIndex", 1)
            .put("yAxisIndex", 1));
    return option;
  }

  /** Curves over gaps: mutual information, and its shuffled control. */
  public static ObjectNode mutualInformation(AffinitySummary summary) {
    ObjectNode option = gapCurves(summary, "Mutual information (bits)", "f1", "f3", " bits");
    ArrayNode series = option.putArray("series");
    series.add(gapLine("Trace", summary, GapMetrics::mutualInformationBits, "$series.0"));
    series.add(
        dashed(
            gapLine(
                "Shuffled tokens",
                summary,
                GapMetrics::shuffledMutualInformationBits,
                "$series.1")));
    return option;
  }

  /** Curves over gaps: mean certainty of the next expert, its shuffled control and independence. */
  public static ObjectNode certainty(AffinitySummary summary) {
    ObjectNode option = gapCurves(summary, "Mean of max P(next | this)", "pct0", "pct", "");
    ArrayNode series = option.putArray("series");
    series.add(gapLine("Trace", summary, GapMetrics::meanMaxNext, "$series.0"));
    series.add(
        dashed(gapLine("Shuffled tokens", summary, GapMetrics::shuffledMeanMaxNext, "$series.1")));
    series.add(
        dashed(gapLine("Independent layers", summary, GapMetrics::independentMaxNext, "$neutral")));
    return option;
  }

  private static ObjectNode gapCurves(
      AffinitySummary summary, String value, String axisFormat, String format, String unit) {
    ObjectNode option = Options.object();
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put(
            "formatter",
            "@Layer {axisValue}\n{marker}{seriesName}: <b>{value:%s}</b>%s"
                .formatted(format, unit));
    option.putObject("legend").put("top", 0).put("right", 16);
    option.putObject("grid").put("left", 66).put("right", 24).put("top", 38).put("bottom", 54);
    option.set("xAxis", Options.gaps(summary.gaps().size()));
    option.set("yAxis", Options.values(value, axisFormat).put("nameGap", 46));
    return option;
  }

  private static ObjectNode dashed(ObjectNode line) {
    ((ObjectNode) line.get("lineStyle")).put("type", "dashed");
    return line;
  }

  private static ObjectNode layerLine(
      String name, List<LayerMetrics> layers, ToDoubleFunction<LayerMetrics> value, String color) {
    List<Double> points = new ArrayList<>();
    layers.forEach(layer -> points.add(value.applyAsDouble(layer)));
    return Options.line(name, points, color);
  }

  private static ObjectNode gapLine(
      String name, AffinitySummary summary, ToDoubleFunction<GapMetrics> value, String color) {
    List<Double> points = new ArrayList<>();
    summary.gaps().forEach(gap -> points.add(value.applyAsDouble(gap)));
    return Options.line(name, points, color);
  }
}
