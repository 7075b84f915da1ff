package io.expertatlas.placement.format;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/** The formats of engines, by name and by what a file looks like. */
public final class PlacementFormats {
  private static final List<PlacementFormat> ALL =
      List.of(
          new SglangLocation(),
          new TrtllmPlan(),
          new VllmAscendMap(),
          new VllmInitialMapping(),
          new VllmExpertMap(),
          new VllmExpertRanks(),
          new LlamaCppOverrides(),
          new KTransformersCounts());
  private static final Pattern YAML_KEY =
      Pattern.compile("(?m)^(num_slots|initial_global_assignments|layer_updates_per_iter)\\s*:");
  private static final Pattern OVERRIDE = Pattern.compile("exps[^=,\\s]*=");

  private PlacementFormats() {}

  /** Every format. */
  public static List<PlacementFormat> all() {
    return ALL;
  }

  /** The names, for help and messages. */
  public static String names() {
    return String.join(", ", ALL.stream().map(PlacementFormat::name).toList());
  }

  /**
   * The format of a name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static PlacementFormat find(String name) {
    return ALL.stream()
        .filter(format -> format.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "Invalid placement format: %s, one of %s".formatted(name, names())));
  }

  /**
   * The engine's format of a file, told by its keys; empty if it looks like none of them, as a
   * {@code placement.json} and ExFlow's csv do.
   *
   * @throws IOException if it cannot be read
   */
  public static Optional<PlacementFormat> sniff(Path file) throws IOException {
    // Bytes above 127 stand in none of the keys.
    String text = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
    if (text.startsWith("PK\3\4")) {
      return Optional.of(find("ktransformers"));
    }

    String start = text.stripLeading();
    if (start.startsWith("{") || start.startsWith("[")) {
      return ofJson(text, start);
    }

    if (YAML_KEY.matcher(text).find()) {
      return Optional.of(find("trtllm"));
    }

    return OVERRIDE.matcher(text).find() ? Optional.of(find("llama-cpp")) : Optional.empty();
  }

  private static Optional<PlacementFormat> ofJson(String text, String start) throws IOException {
    if (start.startsWith("[")) {
      return Optional.of(find("vllm-list"));
    }

    try (JsonParser parser = JsonFile.MAPPER.createParser(text)) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        switch (parser.currentName()) {
          case SglangLocation.KEY, SglangLocation.COUNTS_KEY -> {
            return Optional.of(find("sglang"));
          }
          case "layer_list", "moe_layer_count" -> {
            return Optional.of(find("vllm-ascend"));
          }
          case VllmInitialMapping.TYPE_KEY -> {
            return Optional.of(find("vllm"));
          }
          case VllmExpertRanks.KEY -> {
            return Optional.of(find("vllm-ranks"));
          }
          default -> {
            parser.nextToken();
            parser.skipChildren();
          }
        }
      }
    } catch (JsonProcessingException e) {
      return Optional.empty(); // whoever reads it names the place
    }

    return Optional.empty();
  }
}
