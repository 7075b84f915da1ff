package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.TrafficMatrix;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Costs as JSON. The means have six decimals, rounded half up like the text that {@code
 * String.format} makes; the totals beside them are exact.
 */
final class CostJson {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private CostJson() {}

  /** One placement as its object, several as {@code {"placements": [...]}}. */
  static String of(List<CostTable.Row> rows, PlacementCost vanilla) {
    return of(rows, vanilla, List.of(), 1);
  }

  /**
   * The same with what was moved.
   *
   * @param moved under each placement; or empty
   * @param vectorBytes of a vector that was moved
   */
  static String of(
      List<CostTable.Row> rows,
      PlacementCost vanilla,
      List<TrafficMatrix> moved,
      long vectorBytes) {
    List<ObjectNode> nodes = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      nodes.add(node(rows.get(i), vanilla));
      if (!moved.isEmpty()) {
        nodes.get(i).put("vector-bytes", vectorBytes);
        nodes.get(i).set("bytesMoved", MAPPER.valueToTree(moved.get(i).toArray(vectorBytes)));
      }
    }

    if (nodes.size() == 1) {
      return nodes.get(0).toString();
    }

    ObjectNode root = MAPPER.createObjectNode();
    ArrayNode all = root.putArray("placements");
    nodes.forEach(all::add);
    return root.toString();
  }

  static ObjectNode node(CostTable.Row row, PlacementCost vanilla) {
    PlacementCost cost = row.cost();
    ObjectNode node = MAPPER.createObjectNode();
    node.put("placement", row.label());
    node.put("tokens", cost.tokens());
    node.put("hops", six(cost.hopsPerToken()));
    node.put("crossings", six(cost.crossingsPerToken()));
    node.put("interNode", six(cost.interNodePerToken()));
    node.put("gpusPerToken", six(cost.gpusPerToken()));
    node.put("nodesPerToken", six(cost.nodesPerToken()));
    node.put("loadMeanMaxOverMean", six(cost.loadMeanMaxOverMean()));
    node.put("loadWorstMaxOverMean", six(cost.loadWorstMaxOverMean()));
    node.put("balanced", cost.balanced());
    node.put("avg_cost", cost.avgCost());
    node.put("avg_intra", cost.avgIntra());
    node.put("avg_inter", cost.avgInter());
    node.put("vs-vanilla-percent", six(CostTable.changePercent(cost, vanilla)));
    node.put("layers", cost.shape().layers());
    node.put("experts", cost.shape().experts());
    node.put("top-k", cost.shape().topK());
    node.put("nodes", cost.topology().nodes());
    node.put("gpus-per-node", cost.topology().gpusPerNode());
    node.put("total-hops", cost.hops());
    node.put("total-crossings", cost.crossings());
    node.put("total-inter-node", cost.interNode());
    node.put("total-gpu-touches", cost.gpuTouches());
    node.put("total-node-touches", cost.nodeTouches());
    ArrayNode loads = node.putArray("load-max-over-mean");
    for (int layer = 0; layer < cost.loads().layers(); layer++) {
      loads.add(six(cost.loads().maxOverMean(layer)));
    }

    return node;
  }

  private static BigDecimal six(double value) {
    return new BigDecimal(String.format(Locale.ROOT, "%.6f", value));
  }
}
