package io.expertatlas.placement.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.placement.PlacementFormatException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * What a Hugging Face {@code config.json} says of a model's layers and experts.
 *
 * @param file where it was read, for messages
 * @param hiddenLayers {@code num_hidden_layers}: dense and MoE layers, without those for MTP
 * @param moeLayers which of them are MoE layers, in order
 * @param mtpLayers layers for multi-token prediction behind them, each a MoE layer
 * @param experts routed experts of a MoE layer
 * @param groups groups that the router picks from first, 1 if it has none
 * @param hiddenSize numbers in a hidden state, 0 if the file does not say
 */
public record ModelConfig(
    Path file,
    int hiddenLayers,
    List<Integer> moeLayers,
    int mtpLayers,
    int experts,
    int groups,
    int hiddenSize) {
  private static final List<String> EXPERTS =
      List.of("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts");
  private static final List<String> MTP =
      List.of("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers");
  private static final int MOST_LAYERS = 1 << 16;

  /** Copies the list. */
  public ModelConfig {
    Objects.requireNonNull(file, "file is null");
    moeLayers = List.copyOf(moeLayers);
  }

  /**
   * Reads a configuration. Which layers are MoE layers is said by {@code first_k_dense_replace} and
   * {@code moe_layer_freq} (a step, or a list of 0 and 1), {@code decoder_sparse_step} and {@code
   * mlp_only_layers}, {@code mlp_layer_types}, {@code moe_layers}, {@code
   * interleave_moe_layer_step}, {@code moe_layer_start_index}, {@code moe_layer_end_index} and
   * {@code moe_layer_interval}, or {@code expert_layer_period} and {@code expert_layer_offset};
   * without any of them all are. What stands in {@code text_config} is read there.
   *
   * @throws PlacementFormatException if a number is missing or impossible, or two of these rules
   *     disagree; with file and key
   * @throws IOException if it cannot be read
   */
  public static ModelConfig read(Path file) throws IOException {
    return new Reader(file).read();
  }

  /** The fields of one file. */
  private static final class Reader {
    private final Path file;
    private final JsonFile json;
    private JsonNode config;
    private String path = "";
    private int layers;

    Reader(Path file) {
      this.file = file;
      this.json = new JsonFile(file);
    }

    ModelConfig read() throws IOException {
      config = json.object(json.root(), "");
      if (has("text_config") && !has("num_hidden_layers")) {
        config = json.object(config.get("text_config"), "text_config");
        path = "text_config";
      }

      if (has("is_encoder_decoder") && config.get("is_encoder_decoder").asBoolean()) {
        throw json.problem(
            at("is_encoder_decoder"), "is true, expected a model with a decoder alone");
      }

      layers = json.wholeField(config, path, "num_hidden_layers", 1, MOST_LAYERS);
      List<Integer> moe = moeLayers();
      if (moe.isEmpty()) {
        throw json.problem("", "none of the %d layers is a MoE layer".formatted(layers));
      }

      return new ModelConfig(
          file,
          layers,
          moe,
          MTP.stream().filter(this::has).mapToInt(key -> number(key, 0, 0)).findFirst().orElse(0),
          experts(),
          Math.max(1, number("n_group", 1, 0)),
          number("hidden_size", 0, 1));
    }

    private boolean has(String key) {
      return config.hasNonNull(key);
    }

    private String at(String key) {
      return JsonFile.join(path, key);
    }

    private int number(String key, int otherwise, int least) {
      return has(key) ? json.whole(config.get(key), at(key), least, MOST_LAYERS) : otherwise;
    }

    private int experts() {
      List<String> found = EXPERTS.stream().filter(this::has).toList();
      if (found.isEmpty()) {
        throw json.problem(
            "", "no number of experts: none of %s".formatted(String.join(", ", EXPERTS)));
      }

      int experts = number(found.get(0), 0, 1);
      for (String other : found) {
        if (number(other, 0, 1) != experts) {
          throw json.problem(
              at(other), "is %d, %s is %d".formatted(number(other, 0, 1), found.get(0), experts));
        }
      }

      return experts;
    }

    private List<Integer> moeLayers() {
      List<Rule> rules = new ArrayList<>();
      if (has("moe_layer_freq") && config.get("moe_layer_freq").isArray()) {
        rules.add(listed("moe_layer_freq", "0", "1"));
      } else if (has("first_k_dense_replace") || has("moe_layer_freq")) {
        int first = number("first_k_dense_replace", 0, 0);
        int step = number("moe_layer_freq", 1, 1);
        rules.add(rule("first_k_dense_replace", i -> i >= first && i % step == 0));
      }

      if (has("decoder_sparse_step") || has("mlp_only_layers")) {
        int step = number("decoder_sparse_step", 1, 1);
        List<Integer> dense = layerList("mlp_only_layers");
        rules.add(rule("decoder_sparse_step", i -> (i + 1) % step == 0 && !dense.contains(i)));
      }

      if (has("mlp_layer_types")) {
        rules.add(listed("mlp_layer_types", "dense", "sparse"));
      }

      if (has("moe_layers")) {
        List<Integer> moe = layerList("moe_layers");
        rules.add(rule("moe_layers", moe::contains));
      } else if (has("interleave_moe_layer_step")) {
        int step = number("interleave_moe_layer_step", 1, 1);
        rules.add(rule("interleave_moe_layer_step", i -> (i + 1) % step == 0));
      }

      if (has("moe_layer_start_index")) {
        int start = number("moe_layer_start_index", 0, 0);
        int end =
            has("moe_layer_end_index")
                ? json.whole(
                    config.get("moe_layer_end_index"), at("moe_layer_end_index"), -1, layers - 1)
                : -1;
        int step = number("moe_layer_interval", 1, 1);
        rules.add(
            rule(
                "moe_layer_start_index",
                i -> i >= start && (end < 0 || i <= end) && (i + 1) % step == 0));
      }

      if (has("expert_layer_period")) {
        int period = number("expert_layer_period", 1, 1);
        int offset = number("expert_layer_offset", 0, 0);
        rules.add(rule("expert_layer_period", i -> i % period == offset));
      }

      return agreed(rules);
    }

    private List<Integer> agreed(List<Rule> rules) {
      if (rules.isEmpty()) {
        return IntStream.range(0, layers).boxed().toList();
      }

      for (Rule rule : rules) {
        if (!rule.moe().equals(rules.get(0).moe())) {
          throw json.problem(
              at(rule.key()),
              "makes %d layers MoE layers, %s another set of %d"
                  .formatted(rule.moe().size(), rules.get(0).key(), rules.get(0).moe().size()));
        }
      }

      return rules.get(0).moe();
    }

    private Rule rule(String key, IntPredicate isMoe) {
      return new Rule(key, IntStream.range(0, layers).filter(isMoe).boxed().toList());
    }

    /** A rule with a word for each layer. */
    private Rule listed(String key, String dense, String sparse) {
      JsonNode list = json.array(config.get(key), at(key));
      if (list.size() != layers) {
        throw json.problem(
            at(key), "has %d entries, num_hidden_layers is %d".formatted(list.size(), layers));
      }

      for (int i = 0; i < layers; i++) {
        String word = list.get(i).asText();
        if (!word.equals(dense) && !word.equals(sparse)) {
          throw json.problem(
              at(key) + "[" + i + "]",
              "is %s, expected %s or %s".formatted(list.get(i), dense, sparse));
        }
      }

      return rule(key, i -> list.get(i).asText().equals(sparse));
    }

    private List<Integer> layerList(String key) {
      List<Integer> found = new ArrayList<>();
      if (has(key)) {
        JsonNode list = json.array(config.get(key), at(key));
        for (int i = 0; i < list.size(); i++) {
          found.add(json.whole(list.get(i), at(key) + "[" + i + "]", 0, layers - 1));
        }
      }

      return found;
    }

    private record Rule(String key, List<Integer> moe) {}
  }
}
