package io.expertatlas.placement.format;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * vLLM's proposal #34811: an object with one key, {@code expert_to_ep_rank}, the GPU of each
 * expert. It holds for all layers, and an expert has one GPU: only a placement with equal layers
 * and without copies can be written.
 */
final class VllmExpertRanks implements PlacementFormat {
  static final String KEY = "expert_to_ep_rank";

  @Override
  public String name() {
    return "vllm-ranks";
  }

  @Override
  public String fileName() {
    return "vllm-ranks.json";
  }

  @Override
  public String loading() {
    return "--expert-placement-file, in a vLLM with pull request 34811: " + fileName();
  }

  @Override
  public void check(int experts, int slots, Topology topology) {
    if (slots > experts) {
      throw noCopies("here are %d slots for %d experts".formatted(slots, experts));
    }

    Slots.check(name(), slots, topology);
  }

  private PlacementFormatException noCopies(String what) {
    return new PlacementFormatException(
        "Cannot export %s: it has one GPU for each expert, and %s. Maybe export vllm or vllm-list"
            .formatted(name(), what));
  }

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    for (int layer = 0; layer < placement.layers(); layer++) {
      if (placement.hasCopies(layer)) {
        throw noCopies("layer %d has copies of experts".formatted(layer));
      }
    }

    int[][] map = placement.toArray();
    for (int layer = 0; layer < map.length; layer++) {
      Slots.ofLayer(name(), placement, layer);
      int differs = Arrays.mismatch(map[0], map[layer]);
      if (differs >= 0) {
        throw new PlacementFormatException(
            "Cannot export %s: it has one list for all layers, and expert %d is on GPU %d in layer 0, on GPU %d in layer %d. Maybe export vllm or vllm-list"
                .formatted(name(), differs, map[0][differs], map[layer][differs], layer));
      }
    }

    ObjectNode root = JsonFile.MAPPER.createObjectNode();
    ArrayNode ranks = root.putArray(KEY);
    Arrays.stream(map[0]).forEach(ranks::add);
    return (root + "\n").getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology)
      throws IOException {
    JsonFile json = new JsonFile(file);
    JsonNode root = json.object(json.root(), "");
    json.only(root, "", List.of(KEY));
    JsonNode ranks = json.array(json.field(root, "", KEY), KEY);
    if (ranks.size() != experts) {
      throw json.problem(
          KEY, "has %d entries, here are %d experts".formatted(ranks.size(), experts));
    }

    int[] gpu = new int[experts];
    for (int expert = 0; expert < experts; expert++) {
      gpu[expert] =
          json.whole(ranks.get(expert), "%s[%d]".formatted(KEY, expert), 0, topology.gpus() - 1);
    }

    int[][] map = new int[layers.layers()][];
    Arrays.fill(map, gpu);
    return new Placement(topology, map);
  }
}
