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
import java.util.Arrays;

/**
 * The expert map of vLLM-Ascend and MindIE: {@code moe_layer_count}, and for each MoE layer, by its
 * ordinal, the experts of each device. The engine makes one tensor of it, so all devices hold
 * equally many. The rows for multi-token prediction follow the others if the placement has them.
 */
final class VllmAscendMap implements PlacementFormat {
  @Override
  public String name() {
    return "vllm-ascend";
  }

  @Override
  public String fileName() {
    return "vllm-ascend.json";
  }

  @Override
  public String loading() {
    return "expert_map_path of --additional-config: " + fileName();
  }

  @Override
  public void check(int experts, int slots, Topology topology) {
    Slots.check(name(), slots, topology);
  }

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    int gpus = placement.topology().gpus();
    ObjectNode root = JsonFile.MAPPER.createObjectNode();
    root.put("moe_layer_count", placement.layers());
    ArrayNode layerList = root.putArray("layer_list");
    for (int layer = 0; layer < placement.layers(); layer++) {
      int[] slots = Slots.ofLayer(name(), placement, layer);
      ObjectNode entry = layerList.addObject();
      entry.put("layer_id", layer);
      entry.put("device_count", gpus);
      ArrayNode deviceList = entry.putArray("device_list");
      for (int gpu = 0; gpu < gpus; gpu++) {
        ObjectNode device = deviceList.addObject();
        device.put("device_id", gpu);
        ArrayNode experts = device.putArray("device_expert");
        int perGpu = slots.length / gpus;
        Arrays.stream(slots, gpu * perGpu, (gpu + 1) * perGpu).forEach(experts::add);
      }
    }

    return (root + "\n").getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology)
      throws IOException {
    JsonFile json = new JsonFile(file);
    JsonNode root = json.object(json.root(), "");
    JsonNode list = json.array(json.field(root, "", "layer_list"), "layer_list");
    int count = json.wholeField(root, "", "moe_layer_count", 0, 1 << 16);
    if (count != list.size()) {
      throw json.problem(
          "moe_layer_count", "is %d, layer_list has %d".formatted(count, list.size()));
    }

    if (count != layers.layers()) {
      throw json.problem(
          "moe_layer_count", "is %d, here are %d layers".formatted(count, layers.layers()));
    }

    int[][][] gpus = new int[count][][];
    int perLayer = 0;
    for (int layer = 0; layer < count; layer++) {
      String path = "layer_list[%d]".formatted(layer);
      JsonNode entry = json.object(list.get(layer), path);
      json.wholeField(entry, path, "layer_id", layer, layer);
      json.wholeField(entry, path, "device_count", topology.gpus(), topology.gpus());
      int[] slots =
          slots(json, json.field(entry, path, "device_list"), path, experts, topology.gpus());
      perLayer = layer == 0 ? slots.length : perLayer;
      if (slots.length != perLayer) {
        throw json.problem(
            path, "has %d slots, the first layer has %d".formatted(slots.length, perLayer));
      }

      gpus[layer] = Slots.gpus(slots, experts, topology.gpus(), Slots.where(file, path));
    }

    return Slots.placement(file, topology, gpus);
  }

  private static int[] slots(JsonFile json, JsonNode list, String layer, int experts, int gpus) {
    String path = layer + ".device_list";
    json.array(list, path);
    if (list.size() != gpus) {
      throw json.problem(path, "has %d devices, expected %d".formatted(list.size(), gpus));
    }

    int[][] held = new int[gpus][];
    for (int at = 0; at < gpus; at++) {
      String devicePath = "%s[%d]".formatted(path, at);
      JsonNode device = json.object(list.get(at), devicePath);
      json.wholeField(device, devicePath, "device_id", at, at);
      held[at] =
          json.experts(
              json.field(device, devicePath, "device_expert"),
              devicePath + ".device_expert",
              experts);
      if (held[at].length != held[0].length) {
        throw json.problem(
            devicePath + ".device_expert",
            "has %d experts, device 0 has %d".formatted(held[at].length, held[0].length));
      }
    }

    return Arrays.stream(held).flatMapToInt(Arrays::stream).toArray();
  }
}
