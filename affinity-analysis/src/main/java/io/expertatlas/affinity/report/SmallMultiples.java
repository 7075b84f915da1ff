package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

/**
 * Small plots of lines, one for each layer or for as many, evenly spread over the model, as stay
 * legible; all have the same scales.
 */
final class SmallMultiples {
  private static final int MAX_PANELS = 24;
  private static final int COLUMNS = 6;
  private static final int SIDE = 128; // pixels
  private static final int TITLE = 30;
  private static final int TOP = 30;

  private final int layers;
  private final int panels;
  private final ObjectNode option = Options.object();
  private final ArrayNode series = option.putArray("series");
  private double min = Double.POSITIVE_INFINITY;
  private double max;

  SmallMultiples(int layers, List<String> x, String head, String format) {
    this.layers = layers;
    panels = Math.min(layers, MAX_PANELS);
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put("confine", true)
        .put(
            "formatter",
            "@%s {axisValue}\n{marker}{seriesName}: <b>{value:%s}</b>".formatted(head, format));
    option.putObject("legend").put("top", 0).put("right", 16);
    ArrayNode grids = option.putArray("grid");
    ArrayNode titles = option.putArray("title");
    ArrayNode xs = option.putArray("xAxis");
    ArrayNode ys = option.putArray("yAxis");
    for (int panel = 0; panel < panels; panel++) {
      String left = "%.2f%%".formatted(4.5 + panel % COLUMNS * (95.5 / COLUMNS));
      int top = TOP + panel / COLUMNS * (SIDE + TITLE) + TITLE;
      grids
          .addObject()
          .put("left", left)
          .put("top", top)
          .put("width", "%.2f%%".formatted(95.5 / COLUMNS - 2))
          .put("height", SIDE - 30);
      titles
          .addObject()
          .put("text", "Layer " + layer(panel))
          .put("left", left)
          .put("top", top - 20)
          .put("padding", 0);
      ObjectNode axis = Options.names("", x).put("gridIndex", panel).put("boundaryGap", false);
      axis.putObject("axisLabel")
          .put("fontSize", 10)
          .put("interval", Math.max(0, (x.size() + 2) / 4 - 1));
      xs.add(axis);
      ObjectNode values = Options.object();
      values.put("type", "value").put("gridIndex", panel);
      values
          .putObject("axisLabel")
          .put("show", panel % COLUMNS == 0)
          .put("fontSize", 10)
          .put("formatter", "@{value:%s}".formatted(format.equals("pct") ? "pct0" : format));
      ys.add(values);
    }
  }

  /** Number of layers shown. */
  int panels() {
    return panels;
  }

  /** Which layers are shown, in words. */
  String which() {
    return panels == layers
        ? "every layer"
        : "%d of %d layers, evenly spread".formatted(panels, layers);
  }

  int layer(int panel) {
    return panels == 1 ? 0 : (int) ((long) panel * (layers - 1) / (panels - 1));
  }

  int height() {
    return TOP + (panels + COLUMNS - 1) / COLUMNS * (SIDE + TITLE) + 16;
  }

  /** Adds a line to a panel. */
  void line(int panel, String name, List<Double> points, String color, boolean dashed) {
    ObjectNode line = Options.line(name, points, color);
    ((ObjectNode) line.get("lineStyle")).put("width", 1.5);
    line.put("showSymbol", points.size() < 2).put("symbolSize", 4);
    line.put("xAxisIndex", panel).put("yAxisIndex", panel);
    series.add(dashed ? Options.dashed(line) : line);
    for (double point : points) {
      min = Math.min(min, point);
      max = Math.max(max, point);
    }
  }

  /** The option, with one scale for all panels. */
  ObjectNode option(double lowest) {
    List<ObjectNode> axes = new ArrayList<>();
    option.get("yAxis").forEach(axis -> axes.add((ObjectNode) axis));
    double unit = Math.pow(10, Math.floor(Math.log10(Math.max(1e-6, max - lowest))));
    double top = lowest + Math.ceil(Math.max(1e-6, max - lowest) / unit) * unit;
    double step = Options.rounded((top - lowest) / 2);
    axes.forEach(
        axis -> axis.put("min", lowest).put("max", lowest + 2 * step).put("interval", step));
    return option;
  }
}
