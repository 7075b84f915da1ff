package io.expertatlas.placement.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * How tokens go from GPU to GPU through the layers: a Sankey diagram, a column a layer and a block
 * a GPU, or for large models and clusters a matrix of GPU to GPU over all layers.
 */
final class FlowPlot {
  private static final int MAX_LAYERS = 32;
  private static final int MAX_GPUS = 8;
  private static final double LEFT = 6; // percent, as right

  private FlowPlot() {}

  /** Whether the flow is small enough for a column a layer. */
  static boolean hasColumns(ExpertFlow flow) {
    return flow.gaps() + 1 <= MAX_LAYERS && flow.gpus() <= MAX_GPUS;
  }

  static int height(ExpertFlow flow) {
    return hasColumns(flow) ? 90 + 62 * flow.gpus() : 560;
  }

  static ObjectNode of(ExpertFlow flow) {
    return hasColumns(flow) ? columns(flow) : matrix(flow);
  }

  private static ObjectNode columns(ExpertFlow flow) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option.putObject("tooltip").put("formatter", "@{data.words}\n<b>{value:int}</b> tokens");
    ArrayNode titles = option.putArray("title");
    ObjectNode series = option.putArray("series").addObject();
    series.put("type", "sankey").put("layoutIterations", 0).put("draggable", false);
    series.put("nodeWidth", 12).put("nodeGap", 10);
    series.put("left", LEFT + "%").put("right", LEFT + "%").put("top", 34).put("bottom", 12);
    series.putObject("emphasis").put("focus", "adjacency");
    ArrayNode nodes = series.putArray("data");
    ArrayNode links = series.putArray("links");
    for (int layer = 0; layer <= flow.gaps(); layer++) {
      titles
          .addObject()
          .put("text", (layer == 0 ? "Layer " : "") + layer)
          .put("left", "%.2f%%".formatted(LEFT + 0.5 + layer * (99 - 2 * LEFT) / flow.gaps()))
          .put("textAlign", "center")
          .put("top", 4)
          .putObject("textStyle")
          .put("fontSize", 11)
          .put("fontWeight", "normal")
          .put("color", "$muted");
      for (int gpu = 0; gpu < flow.gpus(); gpu++) {
        ObjectNode node = nodes.addObject().put("name", name(layer, gpu)).put("depth", layer);
        node.put("words", "Layer %d, GPU %d".formatted(layer, gpu));
        node.putObject("itemStyle").put("color", color(gpu)).put("borderWidth", 0);
        ObjectNode label = node.putObject("label").put("show", layer == 0);
        label.put("position", "left").put("formatter", "GPU " + gpu).put("color", "$ink");
      }
    }

    for (int gap = 0; gap < flow.gaps(); gap++) {
      for (int from = 0; from < flow.gpus(); from++) {
        for (int to = 0; to < flow.gpus(); to++) {
          if (flow.tokens(gap, from, to) > 0) {
            ObjectNode link = links.addObject().put("source", name(gap, from));
            link.put("target", name(gap + 1, to)).put("value", flow.tokens(gap, from, to));
            link.put(
                "words", "Layer %d, GPU %d to layer %d, GPU %d".formatted(gap, from, gap + 1, to));
            ObjectNode style = link.putObject("lineStyle").put("curveness", 0.5);
            style.put("color", from == to ? color(from) : "$neutral");
            style.put("opacity", from == to ? 0.55 : 0.35);
          }
        }
      }
    }

    return option;
  }

  private static String name(int layer, int gpu) {
    return layer + "/" + gpu;
  }

  private static String color(int gpu) {
    return "$series." + gpu % 8;
  }

  private static ObjectNode matrix(ExpertFlow flow) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option
        .putObject("tooltip")
        .put(
            "formatter",
            "@GPU {value.1} to GPU {value.0}\n<b>{value.2:pct}</b> of the GPU's tokens"
                + " ({value.3:int})");
    option.putObject("grid").put("left", 66).put("right", 16).put("top", 10).put("bottom", 104);
    option.set("xAxis", axis("To GPU", flow.gpus()));
    option.set("yAxis", axis("From GPU", flow.gpus()).put("inverse", true).put("nameGap", 40));
    ObjectNode series = option.putArray("series").addObject();
    series.put("type", "heatmap").put("progressive", 0);
    ArrayNode data = series.putArray("data");
    for (int from = 0; from < flow.gpus(); from++) {
      long leaving = 0;
      for (int to = 0; to < flow.gpus(); to++) {
        leaving += flow.tokens(from, to);
      }

      for (int to = 0; to < flow.gpus(); to++) {
        double share = leaving == 0 ? 0 : flow.tokens(from, to) / (double) leaving;
        data.addArray().add(to).add(from).add(share).add(flow.tokens(from, to));
      }
    }

    ObjectNode colors = option.putObject("visualMap");
    colors.put("type", "continuous").put("min", 0).put("max", 1).put("dimension", 2);
    colors.put("orient", "horizontal").put("left", "center").put("bottom", 6);
    colors.put("itemWidth", 14).put("itemHeight", 260).put("formatter", "@{value:pct0}");
    colors.putObject("inRange").put("color", "$sequential");
    return option;
  }

  private static ObjectNode axis(String name, int count) {
    ObjectNode axis = JsonNodeFactory.instance.objectNode();
    axis.put("type", "category").put("name", name).put("nameLocation", "middle");
    axis.put("nameGap", 30);
    ArrayNode labels = axis.putArray("data");
    for (int i = 0; i < count; i++) {
      labels.add(Integer.toString(i));
    }

    return axis;
  }
}
