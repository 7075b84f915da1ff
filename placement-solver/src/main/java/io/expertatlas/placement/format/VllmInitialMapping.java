package io.expertatlas.placement.format;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * vLLM's proposal #41141: JSON lines, one of them of {@code record_type} {@code
 * eplb_initial_mapping} with the expert of each slot, by the ordinal of the MoE layer as a text.
 * Lines of statistics are left aside. Layers for multi-token prediction have no place in it.
 */
final class VllmInitialMapping implements PlacementFormat {
  static final String TYPE_KEY = "record_type";
  private static final String TYPE = "eplb_initial_mapping";
  private static final String STATISTICS = "eplb_load_stats";
  private static final String ROWS = "initial_global_assignments";

  @Override
  public String name() {
    return "vllm";
  }

  @Override
  public String fileName() {
    return "vllm.jsonl";
  }

  @Override
  public String loading() {
    return "initial_mapping_path of --eplb-config, in a vLLM with pull request 41141: "
        + fileName();
  }

  @Override
  public void check(int experts, int slots, Topology topology) {
    Slots.check(name(), slots, topology);
  }

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    ObjectNode root = JsonFile.MAPPER.createObjectNode();
    root.put(TYPE_KEY, TYPE);
    root.put("version", 1);
    root.put("num_redundant_experts", placement.slots(0) - placement.experts());
    root.put("num_slots", placement.slots(0));
    ObjectNode rows = root.putObject(ROWS);
    for (int layer = 0; layer < layers.moeLayers(); layer++) {
      ArrayNode row = rows.putArray(Integer.toString(layer));
      for (int expert : Slots.ofLayer(name(), placement, layer)) {
        row.add(expert);
      }
    }

    return (root + "\n").getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology)
      throws IOException {
    JsonFile json = new JsonFile(file);
    String[] lines = JsonFile.text(file).split("\r?\n", -1);
    JsonNode mapping = null;
    int at = 0;
    for (int line = 1; line <= lines.length; line++) {
      if (lines[line - 1].isBlank()) {
        continue;
      }

      JsonNode record = json.object(json.parse(lines[line - 1], line), "line " + line);
      String type = json.field(record, "line " + line, TYPE_KEY).asText();
      if (type.equals(TYPE) && mapping != null) {
        throw json.problem("line " + line, "is a second %s, after line %d".formatted(TYPE, at));
      }

      if (type.equals(TYPE)) {
        mapping = record;
        at = line;
      } else if (!type.equals(STATISTICS)) {
        throw json.problem(
            "line %d.%s".formatted(line, TYPE_KEY),
            "is %s, expected %s or %s".formatted(type, TYPE, STATISTICS));
      }
    }

    if (mapping == null) {
      throw json.problem("", "no line has the %s %s".formatted(TYPE_KEY, TYPE));
    }

    return placement(json, file, mapping, "line " + at, layers, experts, topology);
  }

  private static Placement placement(
      JsonFile json,
      Path file,
      JsonNode mapping,
      String line,
      LayerRows layers,
      int experts,
      Topology topology) {
    json.only(
        mapping, line, List.of(TYPE_KEY, "version", "num_redundant_experts", "num_slots", ROWS));
    json.wholeField(mapping, line, "version", 1, 1);
    int redundant = json.wholeField(mapping, line, "num_redundant_experts", 0, 1 << 20);
    int slots = json.wholeField(mapping, line, "num_slots", 1, 1 << 20);
    if (slots != experts + redundant) {
      throw json.problem(
          line + ".num_slots",
          "is %d, expected %d experts + %d redundant ones".formatted(slots, experts, redundant));
    }

    String path = JsonFile.join(line, ROWS);
    JsonNode rows = json.object(json.field(mapping, line, ROWS), path);
    if (layers.placedMtpLayers() > 0) {
      throw json.problem(
          path, "has no rows for MTP, here are %d MTP layers".formatted(layers.placedMtpLayers()));
    }

    if (rows.size() != layers.layers()) {
      throw json.problem(
          path, "has %d layers, here are %d".formatted(rows.size(), layers.layers()));
    }

    int[][][] gpus = new int[layers.layers()][][];
    for (int layer = 0; layer < gpus.length; layer++) {
      String rowPath = "%s.%d".formatted(path, layer);
      int[] row = json.experts(json.field(rows, path, Integer.toString(layer)), rowPath, experts);
      if (row.length != slots) {
        throw json.problem(rowPath, "has %d slots, num_slots is %d".formatted(row.length, slots));
      }

      gpus[layer] = Slots.gpus(row, experts, topology.gpus(), Slots.where(file, rowPath));
    }

    return Slots.placement(file, topology, gpus);
  }
}
