package io.expertatlas.placement.format;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * vLLM's proposal #49572: a bare list, {@code [MoE layer][slot]} expert ids, or one row of slots
 * for all layers. It is written with a row for each layer.
 */
final class VllmExpertMap implements PlacementFormat {
  @Override
  public String name() {
    return "vllm-list";
  }

  @Override
  public String fileName() {
    return "vllm-list.json";
  }

  @Override
  public String loading() {
    return "initial_expert_map_path of --eplb-config, in a vLLM with pull request 49572: "
        + fileName();
  }

  @Override
  public void check(int experts, int slots, Topology topology) {
    Slots.check(name(), slots, topology);
  }

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    ArrayNode rows = JsonFile.MAPPER.createArrayNode();
    for (int layer = 0; layer < layers.moeLayers(); layer++) {
      ArrayNode row = rows.addArray();
      for (int expert : Slots.ofLayer(name(), placement, layer)) {
        row.add(expert);
      }
    }

    return (rows + "\n").getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology)
      throws IOException {
    JsonFile json = new JsonFile(file);
    JsonNode root = json.array(json.root(), "");
    boolean shared = root.size() > 0 && !root.get(0).isArray();
    if (layers.placedMtpLayers() > 0 && !shared) {
      throw json.problem(
          "", "it has no rows for MTP, here are %d MTP layers".formatted(layers.placedMtpLayers()));
    }

    if (!shared && root.size() != layers.layers()) {
      throw json.problem(
          "", "it has %d rows, here are %d layers".formatted(root.size(), layers.layers()));
    }

    int[][][] gpus = new int[layers.layers()][][];
    for (int layer = 0; layer < gpus.length; layer++) {
      String path = shared ? "" : "[%d]".formatted(layer);
      int[] row = json.experts(shared ? root : root.get(layer), path, experts);
      if (!shared && row.length != root.get(0).size()) {
        throw json.problem(
            path, "has %d slots, the first row has %d".formatted(row.length, root.get(0).size()));
      }

      gpus[layer] =
          Slots.gpus(row, experts, topology.gpus(), Slots.where(file, shared ? "the list" : path));
    }

    return Slots.placement(file, topology, gpus);
  }
}
