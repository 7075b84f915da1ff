package io.expertatlas.placement.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import io.expertatlas.trace.files.WrittenAside;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.function.Function;
import java.util.function.Predicate;

/** Files with a JSON object a line, each with its format version. Stateless. */
final class JsonLines {
  private static final int FORMAT_VERSION = 1;
  private static final ObjectMapper MAPPER =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private JsonLines() {}

  /** The object of a line to be filled, with the format version. */
  static ObjectNode line() {
    return MAPPER.createObjectNode().put("format-version", FORMAT_VERSION);
  }

  /** Writes all lines; a file that exists is replaced once the new one is complete. */
  static void write(List<ObjectNode> nodes, Path file) throws IOException {
    List<String> lines = nodes.stream().map(ObjectNode::toString).toList();
    WrittenAside.file(file, aside -> Files.write(aside, lines));
  }

  /**
   * Reads a file; nothing if there is none.
   *
   * @param fromNode reads a line, and throws {@link IllegalArgumentException} or {@link
   *     ArithmeticException} if it is none
   * @throws PlacementFormatException if a line is none; with file and line
   */
  static <T> List<T> read(Path file, Function<JsonNode, T> fromNode) throws IOException {
    if (!Files.exists(file)) {
      return List.of();
    }

    List<String> lines;
    try {
      lines = Files.readAllLines(file);
    } catch (CharacterCodingException e) {
      throw new PlacementFormatException("Cannot read %s: not UTF-8".formatted(file), e);
    }

    List<T> values = new ArrayList<>();
    for (int line = 0; line < lines.size(); line++) {
      try {
        values.add(fromNode.apply(checked(MAPPER.readTree(lines.get(line)))));
      } catch (JsonProcessingException e) {
        throw new PlacementFormatException(
            "Cannot read %s:%d: not JSON".formatted(file, line + 1), e);
      } catch (IllegalArgumentException | ArithmeticException e) {
        throw new PlacementFormatException(
            "Cannot read %s:%d: %s".formatted(file, line + 1, e.getMessage()), e);
      }
    }

    return values;
  }

  private static JsonNode checked(JsonNode node) {
    long version = whole(node, "format-version");
    if (version != FORMAT_VERSION) {
      throw new IllegalArgumentException(
          "format-version is %d, expected %d".formatted(version, FORMAT_VERSION));
    }

    return node;
  }

  static Topology cluster(JsonNode node) {
    return new Topology(
        Math.toIntExact(whole(node, "nodes")), Math.toIntExact(whole(node, "gpus-per-node")));
  }

  static String text(JsonNode node, String name) {
    return field(node, name, JsonNode::isTextual, "a text").asText();
  }

  static long whole(JsonNode node, String name) {
    return field(
            node,
            name,
            value -> value.isIntegralNumber() && value.canConvertToLong(),
            "a whole number")
        .asLong();
  }

  static OptionalDouble optional(JsonNode node, String name) {
    return node.has(name) ? OptionalDouble.of(number(node, name)) : OptionalDouble.empty();
  }

  static double number(JsonNode node, String name) {
    return field(node, name, JsonNode::isNumber, "a number").asDouble();
  }

  static JsonNode field(JsonNode node, String name, Predicate<JsonNode> fits, String expected) {
    JsonNode value = node.get(name);
    if (value == null || !fits.test(value)) {
      throw new IllegalArgumentException(
          "%s is %s, expected %s".formatted(name, value == null ? "missing" : value, expected));
    }

    return value;
  }
}
