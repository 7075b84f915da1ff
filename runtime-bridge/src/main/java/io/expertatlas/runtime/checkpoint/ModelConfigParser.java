package io.expertatlas.runtime.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.runtime.CheckpointException;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Reads Hugging Face's {@code config.json}. Settings that would change the computation and that the
 * executor does not know are refused, not ignored.
 */
final class ModelConfigParser {
  /** transformers leaves out settings that have its default. */
  private static final double TOKEN_DROPOUT = 0.2;

  private final Path file;
  private final JsonNode root;

  private ModelConfigParser(Path file, JsonNode root) {
    this.file = file;
    this.root = root;
  }

  static ModelConfig read(Path file) throws IOException {
    if (!Files.exists(file)) {
      throw new CheckpointException("Missing file %s".formatted(file));
    }

    JsonNode root;
    try {
      root = new ObjectMapper().readTree(file.toFile());
    } catch (JsonProcessingException e) {
      throw new CheckpointException(
          "Invalid JSON in %s: %s".formatted(file, e.getOriginalMessage()), e);
    }

    ModelConfigParser parser = new ModelConfigParser(file, root);
    try {
      String architecture =
          root.path("architectures").path(0).asText(root.path("model_type").asText());
      return switch (architecture) {
        case "MixtralForCausalLM", "mixtral" -> parser.mixtral();
        case "NllbMoeForConditionalGeneration", "nllb-moe" -> parser.nllb();
        default ->
            throw new CheckpointException(
                "Cannot run %s of %s: known are MixtralForCausalLM, NllbMoeForConditionalGeneration"
                    .formatted(
                        architecture.isEmpty() ? "a model without a name" : architecture, file));
      };
    } catch (IllegalArgumentException e) {
      throw new CheckpointException("Cannot use %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  private MixtralConfig mixtral() {
    only("hidden_act", "silu");
    only("tie_word_embeddings", "false");
    only("attention_bias", "false");
    only("router_jitter_noise", "0.0");
    int positions = whole("max_position_embeddings");
    JsonNode window = root.path("sliding_window");
    if (window.isNumber() && window.asLong() < positions) {
      throw unknown("sliding_window", window);
    }

    int heads = whole("num_attention_heads");
    return new MixtralConfig(
        whole("num_hidden_layers"),
        whole("num_local_experts"),
        whole("num_experts_per_tok"),
        whole("hidden_size"),
        whole("intermediate_size"),
        heads,
        root.path("num_key_value_heads").isNumber() ? whole("num_key_value_heads") : heads,
        root.path("head_dim").isNumber() ? whole("head_dim") : whole("hidden_size") / heads,
        whole("vocab_size"),
        positions,
        number(root, "rms_norm_eps"),
        ropeTheta(),
        id("bos_token_id", -1),
        id("eos_token_id", -1));
  }

  private double ropeTheta() {
    JsonNode parameters = root.path("rope_parameters");
    JsonNode scaling = root.path("rope_scaling");
    String type = parameters.path("rope_type").asText("default");
    if (!type.equals("default")) {
      throw unknown("rope_parameters.rope_type", parameters.path("rope_type"));
    }

    if (scaling.isObject() && !scaling.path("rope_type").asText("default").equals("default")) {
      throw unknown("rope_scaling", scaling);
    }

    return parameters.path("rope_theta").isNumber()
        ? number(parameters, "rope_theta")
        : number(root, "rope_theta");
  }

  private NllbMoeConfig nllb() {
    only("activation_function", "relu");
    only("second_expert_policy", "all");
    only("tie_word_embeddings", "true");
    only("router_ignore_padding_tokens", "true", "false");
    JsonNode fraction = root.path("moe_eval_capacity_token_fraction");
    if (fraction.isNumber() && fraction.asDouble() < 1) {
      throw unknown("moe_eval_capacity_token_fraction", fraction);
    }

    return new NllbMoeConfig(
        whole("encoder_layers"),
        whole("decoder_layers"),
        whole("encoder_sparse_step"),
        whole("decoder_sparse_step"),
        whole("num_experts"),
        whole("d_model"),
        whole("encoder_ffn_dim"),
        whole("decoder_ffn_dim"),
        whole("encoder_attention_heads"),
        whole("decoder_attention_heads"),
        whole("vocab_size"),
        whole("max_position_embeddings"),
        root.path("scale_embedding").asBoolean(false),
        root.path("router_bias").asBoolean(false),
        root.path("moe_token_dropout").isNumber()
            ? number(root, "moe_token_dropout")
            : TOKEN_DROPOUT,
        id("pad_token_id", 1),
        id("decoder_start_token_id", 2),
        id("eos_token_id", -1));
  }

  /** Refuses a setting with another value than these; absent is fine. */
  private void only(String key, String... values) {
    JsonNode value = root.path(key);
    if (value.isMissingNode() || value.isNull()) {
      return;
    }

    for (String known : values) {
      if (value.asText().equals(known)) {
        return;
      }
    }

    throw unknown(key, value);
  }

  private CheckpointException unknown(String key, JsonNode value) {
    return new CheckpointException(
        "Cannot run the model of %s: %s is %s, which is not built".formatted(file, key, value));
  }

  private int whole(String key) {
    JsonNode value = root.path(key);
    if (!value.isIntegralNumber() || !value.canConvertToInt() || value.asInt() < 0) {
      throw new CheckpointException(
          "Invalid %s in %s: %s, expected a whole number"
              .formatted(key, file, value.isMissingNode() ? "missing" : value));
    }

    return value.asInt();
  }

  /** A token id, the first of a list of them. */
  private int id(String key, int otherwise) {
    JsonNode value = root.path(key).isArray() ? root.path(key).path(0) : root.path(key);
    return value.isIntegralNumber() ? value.asInt() : otherwise;
  }

  private double number(JsonNode parent, String key) {
    JsonNode value = parent.path(key);
    if (!value.isNumber()) {
      throw new CheckpointException(
          "Invalid %s in %s: %s, expected a number"
              .formatted(key, file, value.isMissingNode() ? "missing" : value));
    }

    return value.asDouble();
  }
}
