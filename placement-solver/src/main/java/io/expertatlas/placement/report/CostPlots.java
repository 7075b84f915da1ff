package io.expertatlas.placement.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.PlacementCost;
import java.util.List;

/** Bars of what placements cost, as ECharts options. */
final class CostPlots {
  private CostPlots() {}

  static int hopsHeight(List<ScoredPlacement> placements) {
    return 84 + 38 * placements.size();
  }

  /** Changes of GPU per token, inside a node and across nodes, a bar a placement. */
  static ObjectNode hops(List<ScoredPlacement> placements) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put("formatter", "@{name}\n{marker}{seriesName}: <b>{value:f3}</b> a token")
        .putObject("axisPointer")
        .put("type", "shadow");
    boolean nodes = placements.get(0).placement().topology().nodes() > 1;
    option.putObject("grid").put("left", 150).put("right", 70).put("top", 30).put("bottom", 46);
    option.putObject("legend").put("top", 0).put("right", 16).put("show", nodes);
    ObjectNode x = option.putObject("xAxis").put("type", "value").put("min", 0);
    x.put("name", "Changes of GPU a token").put("nameLocation", "middle").put("nameGap", 28);
    ObjectNode y = option.putObject("yAxis").put("type", "category").put("inverse", true);
    ArrayNode names = y.putArray("data");
    placements.forEach(scored -> names.add(scored.name()));
    ArrayNode series = option.putArray("series");
    ArrayNode inside = bar(series, "Inside a node", "$series.0", !nodes);
    placements.forEach(
        scored ->
            inside.add(scored.cost().crossingsPerToken() - scored.cost().interNodePerToken()));
    if (nodes) {
      ArrayNode across = bar(series, "Across nodes", "$series.1", false);
      placements.forEach(scored -> across.add(scored.cost().interNodePerToken()));
    }

    return option;
  }

  private static ArrayNode bar(ArrayNode series, String name, String color, boolean labelled) {
    ObjectNode bar = series.addObject().put("type", "bar").put("name", name);
    bar.put("stack", "hops").put("barMaxWidth", 22);
    bar.putObject("itemStyle").put("color", color);
    ObjectNode label = bar.putObject("label").put("show", labelled).put("position", "right");
    label.put("color", "$ink").put("formatter", "@{value:f2}");
    return bar.putArray("data");
  }

  /** Load of each layer's busiest GPU over the mean, a bar or a curve a placement. */
  static ObjectNode load(List<ScoredPlacement> placements) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    ObjectNode tooltip = option.putObject("tooltip").put("trigger", "axis");
    tooltip.put("formatter", "@Layer {axisValue}\n{marker}{seriesName}: <b>{value:f2}\u00d7</b>");
    tooltip.putObject("axisPointer").put("type", "shadow");
    option.putObject("legend").put("top", 0).put("right", 16);
    option.putObject("grid").put("left", 66).put("right", 16).put("top", 40).put("bottom", 50);
    int layers = placements.get(0).placement().layers();
    ObjectNode x = option.putObject("xAxis").put("type", "category").put("name", "Layer");
    x.put("nameLocation", "middle").put("nameGap", 30);
    ArrayNode names = x.putArray("data");
    for (int layer = 0; layer < layers; layer++) {
      names.add(Integer.toString(layer));
    }

    ObjectNode y = option.putObject("yAxis").put("type", "value").put("min", 0);
    y.put("name", "Busiest GPU / mean").put("nameLocation", "middle").put("nameGap", 40);
    ArrayNode series = option.putArray("series");
    for (int i = 0; i < placements.size(); i++) {
      PlacementCost cost = placements.get(i).cost();
      ObjectNode one = series.addObject().put("name", placements.get(i).name());
      one.put("type", layers * placements.size() <= 120 ? "bar" : "line").put("barMaxWidth", 14);
      one.putObject("itemStyle").put("color", "$series." + i % 8);
      ArrayNode data = one.putArray("data");
      for (int layer = 0; layer < layers; layer++) {
        data.add(Math.rint(cost.loads().maxOverMean(layer) * 1e6) / 1e6);
      }
    }

    return option;
  }
}
