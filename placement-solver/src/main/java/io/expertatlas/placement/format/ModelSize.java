package io.expertatlas.placement.format;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * What a model's {@code config.json} says of the sizes of what travels: a token's activations and
 * an expert's weights.
 *
 * @param hidden {@code hidden_size}
 * @param intermediate of a routed expert: {@code moe_intermediate_size}, else {@code
 *     intermediate_size}
 * @param bytesPerValue of {@code torch_dtype} or {@code dtype}; 2 if it says neither
 */
public record ModelSize(int hidden, int intermediate, int bytesPerValue) {
  private static final int MOST = 1 << 20;
  private static final List<String> INTERMEDIATE =
      List.of("moe_intermediate_size", "intermediate_size");

  /**
   * Reads a file.
   *
   * @throws io.expertatlas.placement.PlacementFormatException if it is broken, or lacks a size
   * @throws IOException if it cannot be read
   */
  public static ModelSize read(Path file) throws IOException {
    JsonFile json = new JsonFile(file);
    JsonNode root = json.object(json.root(), "");
    JsonNode config = root.path("text_config").isObject() ? root.get("text_config") : root;
    String path = config == root ? "" : "text_config";
    String intermediate = INTERMEDIATE.get(config.has(INTERMEDIATE.get(0)) ? 0 : 1);
    JsonNode type = config.has("torch_dtype") ? config.get("torch_dtype") : config.path("dtype");
    return new ModelSize(
        json.wholeField(config, path, "hidden_size", 1, MOST),
        json.wholeField(config, path, intermediate, 1, MOST),
        bytes(type.asText("")));
  }

  private static int bytes(String type) {
    String word = type.toLowerCase(Locale.ROOT);
    if (word.contains("float32")) {
      return 4;
    }

    return word.contains("float8") || word.contains("int8") ? 1 : 2;
  }

  /** What a token sends in one hop: its activations. */
  public long hopBytes() {
    return (long) hidden * bytesPerValue;
  }

  /** An expert's weights: gate, up and down projections, without biases. */
  public long expertBytes() {
    return 3L * hidden * intermediate * bytesPerValue;
  }
}
