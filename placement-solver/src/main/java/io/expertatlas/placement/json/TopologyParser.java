package io.expertatlas.placement.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;

/**
 * {@link Topology} as JSON: the file {@code topology.json}, format-version 1, and the field {@code
 * topology} of {@code placement.json}.
 *
 * <pre>
 * nodes, gpus-per-node      equal nodes; or
 * gpus-of-node              [node] GPUs of each
 * slots                     experts of a layer that each GPU has room for, or [gpu]
 * hop-costs                 {in-node, across-nodes}, or [from][to]
 * bandwidths                the same in any unit: the fastest link costs 1, others in proportion
 * </pre>
 */
public final class TopologyParser {
  private static final int FORMAT_VERSION = 1;
  private static final int MOST_SLOTS = 1 << 16;
  private static final List<String> KEYS =
      List.of(
          "format-version",
          "nodes",
          "gpus-per-node",
          "gpus-of-node",
          "slots",
          "hop-costs",
          "bandwidths");
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private TopologyParser() {}

  /**
   * Reads a {@code topology.json}. Fields that the format does not have are refused.
   *
   * @throws PlacementFormatException if it is none; with file and field
   * @throws IOException if it cannot be read
   */
  public static Topology read(Path file) throws IOException {
    try {
      return fromJson(Files.readString(file), file.toString());
    } catch (CharacterCodingException e) {
      throw new PlacementFormatException("Cannot read %s: not UTF-8".formatted(file), e);
    }
  }

  /**
   * Parses a {@code topology.json}.
   *
   * @param name of the file, for messages
   * @throws PlacementFormatException if it is none; with name and field
   */
  public static Topology fromJson(String json, String name) {
    try {
      JsonNode root = MAPPER.readTree(json);
      if (root == null || !root.isObject()) {
        throw new IllegalArgumentException("not a JSON object");
      }

      for (Iterator<String> found = root.fieldNames(); found.hasNext(); ) {
        String key = found.next();
        if (!KEYS.contains(key)) {
          throw new IllegalArgumentException(
              "%s is no key of a topology, which has %s".formatted(key, String.join(", ", KEYS)));
        }
      }

      long version = PlacementParser.whole(root, "format-version", FORMAT_VERSION);
      if (version != FORMAT_VERSION) {
        throw new IllegalArgumentException(
            "format-version is %d, expected %d".formatted(version, FORMAT_VERSION));
      }

      return topology(root);
    } catch (JsonProcessingException e) {
      throw new PlacementFormatException(
          "Cannot read %s: %s at line %d, column %d"
              .formatted(
                  name,
                  e.getOriginalMessage().startsWith("Duplicate field")
                      ? "a key stands twice"
                      : "not JSON",
                  e.getLocation() == null ? 0 : e.getLocation().getLineNr(),
                  e.getLocation() == null ? 0 : e.getLocation().getColumnNr()),
          e);
    } catch (IllegalArgumentException e) {
      throw new PlacementFormatException("Cannot read %s: %s".formatted(name, e.getMessage()), e);
    }
  }

  /** The cluster as a {@code topology.json}. */
  public static String toJson(Topology topology) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", FORMAT_VERSION);
    put(topology, root);
    return root.toPrettyString() + "\n";
  }

  /** Adds the fields of a cluster to an object; what is as usual is left out. */
  static void put(Topology topology, ObjectNode node) {
    if (topology.hasEqualNodes()) {
      node.put("nodes", topology.nodes());
      node.put("gpus-per-node", topology.gpusPerNode());
    } else {
      ArrayNode gpus = node.putArray("gpus-of-node");
      for (int n = 0; n < topology.nodes(); n++) {
        gpus.add(topology.gpusOf(n));
      }
    }

    if (topology.hasSlots()) {
      ArrayNode slots = node.putArray("slots");
      for (int gpu = 0; gpu < topology.gpus(); gpu++) {
        slots.add(topology.slots(gpu));
      }
    }

    if (topology.hasCostMatrix()) {
      ArrayNode rows = node.putArray("hop-costs");
      for (int from = 0; from < topology.gpus(); from++) {
        ArrayNode row = rows.addArray();
        for (int to = 0; to < topology.gpus(); to++) {
          row.add(topology.hopCost(from, to));
        }
      }
    } else if (!topology.hasUsualCosts()) {
      ObjectNode costs = node.putObject("hop-costs");
      costs.put("in-node", topology.costInNode());
      costs.put("across-nodes", topology.costAcrossNodes());
    }
  }

  /**
   * The cluster of an object's fields.
   *
   * @throws IllegalArgumentException if they describe none; with the field
   */
  static Topology topology(JsonNode node) {
    Topology topology = nodes(node);
    if (node.has("slots")) {
      topology = topology.withSlots(slots(node, topology));
    }

    if (node.has("hop-costs") && node.has("bandwidths")) {
      throw new IllegalArgumentException("hop-costs and bandwidths exclude each other");
    }

    if (node.has("hop-costs")) {
      return withCosts(topology, PlacementParser.field(node, "hop-costs"));
    }

    return node.has("bandwidths")
        ? withBandwidths(topology, PlacementParser.field(node, "bandwidths"))
        : topology;
  }

  private static Topology nodes(JsonNode node) {
    if (!node.has("gpus-of-node")) {
      return new Topology(
          (int) PlacementParser.whole(node, "nodes", Topology.MAX_GPUS),
          (int) PlacementParser.whole(node, "gpus-per-node", Topology.MAX_GPUS));
    }

    int[] gpus =
        wholes(PlacementParser.array(node, "gpus-of-node"), "gpus-of-node", Topology.MAX_GPUS);
    if (node.has("gpus-per-node")) {
      throw new IllegalArgumentException("gpus-of-node and gpus-per-node exclude each other");
    }

    if (node.has("nodes")
        && PlacementParser.whole(node, "nodes", Topology.MAX_GPUS) != gpus.length) {
      throw new IllegalArgumentException(
          "gpus-of-node has %d entries, nodes is %s".formatted(gpus.length, node.get("nodes")));
    }

    return Topology.ofNodes(gpus);
  }

  private static int[] slots(JsonNode node, Topology topology) {
    if (PlacementParser.field(node, "slots").isArray()) {
      return wholes(node.get("slots"), "slots", MOST_SLOTS);
    }

    int[] slots = new int[topology.gpus()];
    Arrays.fill(slots, (int) PlacementParser.whole(node, "slots", MOST_SLOTS));
    return slots;
  }

  private static Topology withCosts(Topology topology, JsonNode costs) {
    if (costs.isObject()) {
      return topology.withHopCosts(
          (int) PlacementParser.whole(costs, "in-node", Topology.MAX_HOP_COST),
          (int) PlacementParser.whole(costs, "across-nodes", Topology.MAX_HOP_COST));
    }

    PlacementParser.typed(costs, costs.isArray(), "hop-costs", "an object or an array of rows");
    int[][] matrix = new int[costs.size()][];
    for (int from = 0; from < matrix.length; from++) {
      String name = "hop-costs[%d]".formatted(from);
      JsonNode row =
          PlacementParser.typed(costs.get(from), costs.get(from).isArray(), name, "a row");
      matrix[from] = wholes(row, name, Topology.MAX_HOP_COST);
    }

    return topology.withHopCosts(matrix);
  }

  private static Topology withBandwidths(Topology topology, JsonNode bandwidths) {
    if (bandwidths.isObject()) {
      double near = bandwidth(PlacementParser.field(bandwidths, "in-node"), "in-node");
      double far = bandwidth(PlacementParser.field(bandwidths, "across-nodes"), "across-nodes");
      double fastest = Math.max(near, far);
      return topology.withHopCosts(
          cost(fastest, near, "in-node"), cost(fastest, far, "across-nodes"));
    }

    PlacementParser.typed(
        bandwidths, bandwidths.isArray(), "bandwidths", "an object or an array of rows");
    int gpus = bandwidths.size();
    double[][] values = new double[gpus][gpus];
    double fastest = 0;
    for (int from = 0; from < gpus; from++) {
      JsonNode row = bandwidths.get(from);
      if (!row.isArray() || row.size() != gpus) {
        throw new IllegalArgumentException(
            "bandwidths[%d] has %d entries, expected %d, one for each row"
                .formatted(from, row.size(), gpus));
      }

      for (int to = 0; to < gpus; to++) {
        if (from != to) {
          values[from][to] = bandwidth(row.get(to), "bandwidths[%d][%d]".formatted(from, to));
          fastest = Math.max(fastest, values[from][to]);
        }
      }
    }

    int[][] costs = new int[gpus][gpus];
    for (int from = 0; from < gpus; from++) {
      for (int to = 0; to < gpus; to++) {
        costs[from][to] =
            from == to
                ? 0
                : cost(fastest, values[from][to], "bandwidths[%d][%d]".formatted(from, to));
      }
    }

    return topology.withHopCosts(costs);
  }

  private static double bandwidth(JsonNode node, String name) {
    boolean fits = node.isNumber() && node.asDouble() > 0 && Double.isFinite(node.asDouble());
    return PlacementParser.typed(node, fits, name, "a number above 0").asDouble();
  }

  private static int cost(double fastest, double bandwidth, String name) {
    double cost = Math.rint(fastest / bandwidth);
    if (cost > Topology.MAX_HOP_COST) {
      throw new IllegalArgumentException(
          "%s is %s, the fastest link is %s: over %d times as fast"
              .formatted(name, bandwidth, fastest, Topology.MAX_HOP_COST));
    }

    return (int) cost;
  }

  private static int[] wholes(JsonNode list, String name, int most) {
    int[] values = new int[list.size()];
    for (int i = 0; i < values.length; i++) {
      JsonNode entry = list.get(i);
      boolean fits =
          entry.isIntegralNumber()
              && entry.canConvertToInt()
              && entry.intValue() >= 0
              && entry.intValue() <= most;
      values[i] =
          PlacementParser.typed(
                  entry, fits, "%s[%d]".formatted(name, i), "a whole number, 0 to " + most)
              .intValue();
    }

    return values;
  }
}
