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
 * SGLang's {@code --init-expert-location}: an object with one key, {@code physical_to_logical_map},
 * {@code [model layer][slot]} expert ids. There is a row for every model layer, for dense ones too,
 * and none for multi-token prediction. SGLang passes the object's keys on as arguments: one more
 * key and it does not start.
 */
final class SglangLocation implements PlacementFormat {
  static final String KEY = "physical_to_logical_map";

  /** Statistics, from which SGLang computes a placement of its own. */
  static final String COUNTS_KEY = "logical_count";

  @Override
  public String name() {
    return "sglang";
  }

  @Override
  public String fileName() {
    return "sglang.json";
  }

  @Override
  public String loading() {
    return "--init-expert-location " + fileName();
  }

  @Override
  public void check(int experts, int slots, Topology topology) {
    Slots.check(name(), slots, topology);
  }

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    ObjectNode root = JsonFile.MAPPER.createObjectNode();
    ArrayNode rows = root.putArray(KEY);
    for (int row = 0; row < layers.hiddenLayers(); row++) {
      int layer = layers.layerAt(row);
      ArrayNode slots = rows.addArray();
      for (int expert :
          layer < 0 ? Slots.filler(placement) : Slots.ofLayer(name(), placement, layer)) {
        slots.add(expert);
      }
    }

    return (root + "\n").getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology)
      throws IOException {
    JsonFile json = new JsonFile(file);
    JsonNode root = json.object(json.root(), "");
    if (root.has(COUNTS_KEY) && !root.has(KEY)) {
      throw json.problem(
          COUNTS_KEY, "holds counts, from which SGLang chooses by itself: this is no placement");
    }

    json.only(root, "", List.of(KEY));
    JsonNode rows = json.array(json.field(root, "", KEY), KEY);
    if (layers.placedMtpLayers() > 0) {
      throw json.problem(
          KEY, "has no rows for MTP, here are %d MTP layers".formatted(layers.placedMtpLayers()));
    }

    if (rows.size() != layers.hiddenLayers()) {
      throw json.problem(
          KEY,
          "has %d rows, expected one for each of %d layers%s"
              .formatted(
                  rows.size(),
                  layers.hiddenLayers(),
                  layers.isKnown()
                      ? ""
                      : ". Maybe give --model-config: it tells MoE layers from dense ones"));
    }

    int[][][] gpus = new int[layers.layers()][][];
    for (int row = 0; row < rows.size(); row++) {
      String path = "%s[%d]".formatted(KEY, row);
      int[] slots = json.experts(rows.get(row), path, experts);
      int layer = layers.layerAt(row);
      String where = Slots.where(file, path);
      if (slots.length != rows.get(0).size()) {
        throw json.problem(
            path, "has %d slots, the first row has %d".formatted(slots.length, rows.get(0).size()));
      }

      if (layer < 0) {
        Slots.checkRow(slots, experts, topology.gpus(), where);
      } else {
        gpus[layer] = Slots.gpus(slots, experts, topology.gpus(), where);
      }
    }

    return Slots.placement(file, topology, gpus);
  }
}
