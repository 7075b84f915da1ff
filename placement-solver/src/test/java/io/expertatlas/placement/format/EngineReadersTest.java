package io.expertatlas.placement.format;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.placement.Placement;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What an engine does with each export, told after the formats' descriptions and apart from the
 * code that writes: 5 model layers, layer 0 dense, one layer for multi-token prediction, 4 ranks.
 */
class EngineReadersTest {
  private static final int MODEL_LAYERS = 5;
  private static final int FIRST_MOE = 1;
  private static final int EXPERTS = 8;
  private static final int RANKS = 4;
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;
  private Placement plan;
  private LayerRows layers;

  @BeforeEach
  void readPlan() throws IOException {
    plan = Engines.placement("plan.csv", folder);
    layers = Engines.configured(folder);
  }

  private String export(String format, Placement placement) {
    return new String(
        PlacementFormats.find(format).bytes(placement, layers, Engines.POPULARITY),
        StandardCharsets.UTF_8);
  }

  /** Slot j is on rank j / (slots / ranks); every expert has a slot. */
  private static void checkSlots(JsonNode slots, Placement plan, int layer) {
    assertThat(slots.size() % RANKS).isZero();
    TreeSet<Integer> seen = new TreeSet<>();
    for (int slot = 0; slot < slots.size(); slot++) {
      assertThat(slots.get(slot).isInt()).isTrue();
      int expert = slots.get(slot).intValue();
      seen.add(expert);
      if (layer >= 0) {
        assertThat(slot / (slots.size() / RANKS)).isEqualTo(plan.gpu(layer, expert));
      }
    }

    assertThat(seen).hasSize(EXPERTS);
    assertThat(seen.first()).isZero();
    assertThat(seen.last()).isEqualTo(EXPERTS - 1);
  }

  @Test
  void sglangAcceptsItsFile() throws IOException {
    JsonNode root = JSON.readTree(export("sglang", plan));
    List<String> keys = new ArrayList<>();
    root.fieldNames().forEachRemaining(keys::add);
    assertThat(keys).containsExactly("physical_to_logical_map"); // passed on as arguments
    JsonNode map = root.get("physical_to_logical_map");
    assertThat(map).hasSize(MODEL_LAYERS);
    for (int row = 0; row < MODEL_LAYERS; row++) {
      assertThat(map.get(row)).hasSize(EXPERTS);
      checkSlots(map.get(row), plan, row - FIRST_MOE);
    }
  }

  @Test
  void tensorrtLlmAcceptsItsFile() throws IOException {
    Map<String, String> plain = new LinkedHashMap<>();
    Map<Integer, String> rows = new LinkedHashMap<>();
    for (String line : export("trtllm", plan).split("\n")) {
      String[] pair = line.split(":", 2);
      if (line.startsWith(" ")) {
        rows.put(Integer.parseInt(pair[0].strip()), pair[1].strip());
      } else {
        plain.put(pair[0], pair[1].strip());
      }
    }

    assertThat(plain)
        .containsExactly(
            Map.entry("num_slots", "8"),
            Map.entry("initial_global_assignments", ""),
            Map.entry("layer_updates_per_iter", "0"));
    assertThat(rows.keySet()).containsExactly(1, 2, 3, 4, 5); // 5 is the layer for MTP
    for (int layer = 1; layer <= 5; layer++) {
      JsonNode slots = JSON.readTree(rows.get(layer));
      assertThat(slots).hasSize(8);
      checkSlots(slots, plan, layer < 5 ? layer - FIRST_MOE : -1);
    }
  }

  @Test
  void vllmAscendAcceptsItsFile() throws IOException {
    JsonNode root = JSON.readTree(export("vllm-ascend", plan));
    assertThat(root.get("moe_layer_count").intValue()).isEqualTo(4);
    assertThat(root.get("layer_list")).hasSize(4);
    for (int layer = 0; layer < 4; layer++) {
      JsonNode entry = root.get("layer_list").get(layer);
      assertThat(entry.get("layer_id").intValue()).isEqualTo(layer);
      assertThat(entry.get("device_count").intValue()).isEqualTo(RANKS);
      assertThat(entry.get("device_list")).hasSize(RANKS);
      int perDevice = -1;
      for (int rank = 0; rank < RANKS; rank++) {
        JsonNode device = entry.get("device_list").get(rank);
        assertThat(device.get("device_id").intValue()).isEqualTo(rank);
        assertThat(device.get("device_expert").size()).isIn(2, perDevice); // one tensor
        perDevice = device.get("device_expert").size();
        for (JsonNode expert : device.get("device_expert")) {
          assertThat(plan.gpu(layer, expert.intValue())).isEqualTo(rank);
        }
      }
    }
  }

  @Test
  void theProposalsForVllmAcceptTheirFiles() throws IOException {
    JsonNode record = JSON.readTree(export("vllm", plan));
    assertThat(record.get("record_type").asText()).isEqualTo("eplb_initial_mapping");
    assertThat(record.get("version").intValue()).isEqualTo(1);
    assertThat(record.get("num_slots").intValue())
        .isEqualTo(EXPERTS + record.get("num_redundant_experts").intValue());
    assertThat(export("vllm", plan).lines().count()).isEqualTo(1);
    JsonNode list = JSON.readTree(export("vllm-list", plan));
    assertThat(list).hasSize(4);
    for (int layer = 0; layer < 4; layer++) {
      checkSlots(
          record.get("initial_global_assignments").get(Integer.toString(layer)), plan, layer);
      checkSlots(list.get(layer), plan, layer);
    }

    Placement same = Engines.placement("same.csv", folder);
    JsonNode ranks = JSON.readTree(export("vllm-ranks", same)).get("expert_to_ep_rank");
    assertThat(ranks).hasSize(EXPERTS);
    for (int expert = 0; expert < EXPERTS; expert++) {
      assertThat(ranks.get(expert).intValue()).isEqualTo(same.gpu(3, expert));
    }
  }

  @Test
  void llamaCppPutsTheTensorsThere() throws IOException {
    Placement whole = Engines.placement("whole.csv", folder);
    String[] overrides = export("llama-cpp", whole).strip().split(",");
    for (int block = 0; block < 16; block++) {
      for (String part :
          List.of("gate_exps", "up_exps", "down_exps", "gate_up_exps", "up_shexp", "norm")) {
        String tensor = "blk." + block + ".ffn_" + part + ".weight";
        String buffer = "";
        for (String override : overrides) {
          String[] pair = override.split("=");
          if (buffer.isEmpty() && Pattern.compile(pair[0]).matcher(tensor).find()) {
            buffer = pair[1];
          }
        }

        boolean placed = block >= 1 && block <= 4 && part.endsWith("_exps");
        assertThat(buffer)
            .as(tensor)
            .isEqualTo(placed ? "CUDA" + whole.gpu(block - FIRST_MOE, 0) : "");
      }
    }
  }

  @Test
  void torchFindsTheCountsOfEveryModelLayer() throws IOException {
    byte[] file = PlacementFormats.find("ktransformers").bytes(plan, layers, Engines.POPULARITY);
    Map<String, byte[]> members = new LinkedHashMap<>();
    try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(file))) {
      for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
        assertThat(entry.getMethod()).isEqualTo(ZipEntry.STORED);
        members.put(entry.getName(), zip.readAllBytes());
      }
    }

    assertThat(members.keySet())
        .containsExactly(
            "ktransformers/data.pkl",
            "ktransformers/byteorder",
            "ktransformers/data/0",
            "ktransformers/version");
    assertThat(members.get("ktransformers/data.pkl")).isEqualTo(Engines.golden("data.pkl"));
    ByteBuffer counts =
        ByteBuffer.wrap(members.get("ktransformers/data/0")).order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < MODEL_LAYERS; row++) {
      for (int expert = 0; expert < EXPERTS; expert++) {
        assertThat(counts.getLong())
            .isEqualTo(row < FIRST_MOE ? 0 : Engines.POPULARITY.choices(row - FIRST_MOE, expert));
      }
    }

    assertThat(counts.hasRemaining()).isFalse();
  }
}
