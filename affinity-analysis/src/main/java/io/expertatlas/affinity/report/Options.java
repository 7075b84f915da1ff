package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/** The pieces of ECharts options that the plots of this package share. */
final class Options {
  private Options() {}

  static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  /** An axis of {@code count} whole numbers from 0. */
  static ObjectNode counted(String name, int count) {
    ObjectNode axis = object();
    axis.put("type", "category");
    ArrayNode names = axis.putArray("data");
    for (int i = 0; i < count; i++) {
      names.add(Integer.toString(i));
    }

    return named(axis, name);
  }

  /** An axis of names. */
  static ObjectNode names(String name, List<String> names) {
    ObjectNode axis = object();
    axis.put("type", "category");
    ArrayNode data = axis.putArray("data");
    names.forEach(data::add);
    return named(axis, name);
  }

  /** A plot of lines with a legend on top and a tooltip for all lines. */
  static ObjectNode lines(ObjectNode x, ObjectNode y, String head, String format) {
    ObjectNode option = object();
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put(
            "formatter",
            "@%s {axisValue}\n{marker}{seriesName}: <b>{value:%s}</b>".formatted(head, format));
    option.putObject("legend").put("top", 0).put("right", 16);
    option.putObject("grid").put("left", 66).put("right", 24).put("top", 38).put("bottom", 54);
    option.set("xAxis", x);
    option.set("yAxis", y.put("nameGap", 46));
    return option;
  }

  /** The same line, dashed: a control. */
  static ObjectNode dashed(ObjectNode line) {
    ((ObjectNode) line.get("lineStyle")).put("type", "dashed");
    return line;
  }

  /** An axis of the pairs of adjacent layers. */
  static ObjectNode gaps(int count) {
    ObjectNode axis = object();
    axis.put("type", "category").put("boundaryGap", false);
    ArrayNode names = axis.putArray("data");
    for (int gap = 0; gap < count; gap++) {
      names.add("%d \u2192 %d".formatted(gap, gap + 1));
    }

    return named(axis, "From layer to layer");
  }

  /** An axis of values from 0 on. */
  static ObjectNode values(String name, String format) {
    ObjectNode axis = object();
    axis.put("type", "value").put("min", 0);
    axis.putObject("axisLabel").put("formatter", "@{value:%s}".formatted(format));
    return named(axis, name);
  }

  static ObjectNode named(ObjectNode axis, String name) {
    return axis.put("name", name).put("nameLocation", "middle").put("nameGap", 30);
  }

  static ObjectNode line(String name, List<Double> points, String color) {
    ObjectNode series = object();
    series.put("type", "line").put("name", name).put("symbolSize", 5);
    series.putObject("itemStyle").put("color", color);
    series.putObject("lineStyle").put("width", 2).put("color", color);
    ArrayNode data = series.putArray("data");
    points.forEach(point -> data.add(rounded(point)));
    return series;
  }

  /** Six decimals: more than a plot or a tooltip shows. */
  static double rounded(double value) {
    return Math.rint(value * 1e6) / 1e6;
  }
}
