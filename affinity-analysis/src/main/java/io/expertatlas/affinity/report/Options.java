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

  private static ObjectNode named(ObjectNode axis, String name) {
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
