package io.expertatlas.runtime.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.expertatlas.runtime.pipeline.PipelineFormatException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * The fields of a JSON object, each to be taken once. What is missing, of another type or not known
 * is an IllegalArgumentException that names it; {@link #parse} adds the file.
 */
final class Fields {
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();
  private static final int FORMAT_VERSION = 1;

  private final JsonNode object;
  private final String path; // with a dot at its end, or empty
  private final TreeSet<String> taken = new TreeSet<>();

  private Fields(JsonNode object, String path) {
    this.object = object;
    this.path = path;
  }

  /**
   * Reads a file.
   *
   * @throws PipelineFormatException with the file and what is wrong
   * @throws IOException if it cannot be read
   */
  static <T> T read(Path file, Function<Fields, T> parser) throws IOException {
    try {
      return parse(Files.readString(file), file.toString(), parser);
    } catch (CharacterCodingException e) {
      throw new PipelineFormatException("Cannot read %s: not UTF-8".formatted(file), e);
    }
  }

  /**
   * Parses an object of format-version 1, all of whose fields the parser takes.
   *
   * @throws PipelineFormatException with the name and what is wrong
   */
  static <T> T parse(String json, String name, Function<Fields, T> parser) {
    try {
      return of(MAPPER.readTree(json), "", parser);
    } catch (JsonProcessingException e) {
      throw new PipelineFormatException(
          "Cannot read %s: %s at line %d, column %d"
              .formatted(
                  name,
                  e.getOriginalMessage().startsWith("Duplicate field")
                      ? "a key stands twice"
                      : "not JSON",
                  e.getLocation() == null ? 0 : e.getLocation().getLineNr(),
                  e.getLocation() == null ? 0 : e.getLocation().getColumnNr()),
          e);
    } catch (IllegalArgumentException e) {
      throw new PipelineFormatException("Cannot read %s: %s".formatted(name, e.getMessage()), e);
    }
  }

  private static <T> T of(JsonNode node, String path, Function<Fields, T> parser) {
    if (node == null || !node.isObject()) {
      throw new IllegalArgumentException(
          path.isEmpty()
              ? "not a JSON object"
              : "%s is no object".formatted(path.substring(0, path.length() - 1)));
    }

    Fields fields = new Fields(node, path);
    T parsed = parser.apply(fields);
    for (Iterator<String> names = node.fieldNames(); names.hasNext(); ) {
      String name = names.next();
      if (!fields.taken.contains(name)) {
        throw new IllegalArgumentException(
            "%s%s is not known, known are %s"
                .formatted(path, name, String.join(", ", fields.taken)));
      }
    }

    return parsed;
  }

  /** Takes {@code format-version}, which must be 1. */
  void version() {
    version(FORMAT_VERSION);
  }

  /** Takes {@code format-version}, from 1 to the newest that is known. */
  int version(int newest) {
    long version = whole("format-version", 0, Integer.MAX_VALUE);
    if (version < FORMAT_VERSION || version > newest) {
      throw new IllegalArgumentException(
          "%sformat-version is %d, expected %s"
              .formatted(
                  path,
                  version,
                  newest == FORMAT_VERSION ? "1" : "%d to %d".formatted(FORMAT_VERSION, newest)));
    }

    return (int) version;
  }

  boolean has(String name) {
    taken.add(name);
    return object.has(name);
  }

  private JsonNode field(String name) {
    taken.add(name);
    JsonNode node = object.get(name);
    if (node == null || node.isNull()) {
      throw new IllegalArgumentException("%s%s is missing".formatted(path, name));
    }

    return node;
  }

  String text(String name) {
    JsonNode node = field(name);
    if (!node.isTextual()) {
      throw new IllegalArgumentException("%s%s is %s, expected a text".formatted(path, name, node));
    }

    return node.asText();
  }

  long whole(String name, long least, long most) {
    return whole(field(name), path + name, least, most);
  }

  private static long whole(JsonNode node, String name, long least, long most) {
    if (!node.isIntegralNumber()
        || !node.canConvertToLong()
        || node.asLong() < least
        || node.asLong() > most) {
      throw new IllegalArgumentException(
          "%s is %s, expected a whole number from %d to %d".formatted(name, node, least, most));
    }

    return node.asLong();
  }

  int count(String name) {
    return (int) whole(name, 1, Integer.MAX_VALUE);
  }

  /** A number, not negative. */
  double number(String name) {
    return number(field(name), path + name);
  }

  private static double number(JsonNode node, String name) {
    if (!node.isNumber() || !(node.asDouble() >= 0) || Double.isInfinite(node.asDouble())) {
      throw new IllegalArgumentException(
          "%s is %s, expected a number of at least 0".formatted(name, node));
    }

    return node.asDouble();
  }

  double[] numbers(String name) {
    List<JsonNode> nodes = array(field(name), path + name);
    double[] numbers = new double[nodes.size()];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = number(nodes.get(i), "%s%s[%d]".formatted(path, name, i));
    }

    return numbers;
  }

  List<List<Integer>> wholeLists(String name) {
    List<List<Integer>> lists = new ArrayList<>();
    for (JsonNode inner : array(field(name), path + name)) {
      List<Integer> list = new ArrayList<>();
      for (JsonNode node : array(inner, path + name)) {
        list.add((int) whole(node, path + name, 0, Integer.MAX_VALUE));
      }

      lists.add(list);
    }

    return lists;
  }

  /** Arrays of whole numbers {@code [first][second][third]}, as many as there are. */
  List<int[][][]> wholeArrays(String name, int first, int second, int third) {
    List<JsonNode> nodes = array(field(name), path + name);
    List<int[][][]> arrays = new ArrayList<>();
    for (int i = 0; i < nodes.size(); i++) {
      String one = "%s%s[%d]".formatted(path, name, i);
      List<JsonNode> outer = array(nodes.get(i), one, first);
      int[][][] found = new int[first][second][third];
      for (int j = 0; j < first; j++) {
        List<JsonNode> middle = array(outer.get(j), "%s[%d]".formatted(one, j), second);
        for (int k = 0; k < second; k++) {
          String row = "%s[%d][%d]".formatted(one, j, k);
          List<JsonNode> inner = array(middle.get(k), row, third);
          for (int l = 0; l < third; l++) {
            found[j][k][l] = (int) whole(inner.get(l), row, 0, Integer.MAX_VALUE);
          }
        }
      }

      arrays.add(found);
    }

    return arrays;
  }

  private static List<JsonNode> array(JsonNode node, String name, int length) {
    List<JsonNode> nodes = array(node, name);
    if (nodes.size() != length) {
      throw new IllegalArgumentException(
          "%s has %d entries, expected %d".formatted(name, nodes.size(), length));
    }

    return nodes;
  }

  private static List<JsonNode> array(JsonNode node, String name) {
    if (!node.isArray()) {
      throw new IllegalArgumentException("%s is %s, expected an array".formatted(name, node));
    }

    List<JsonNode> nodes = new ArrayList<>();
    node.forEach(nodes::add);
    return nodes;
  }

  <T> T object(String name, Function<Fields, T> parser) {
    return of(field(name), path + name + ".", parser);
  }

  <T> List<T> objects(String name, Function<Fields, T> parser) {
    List<JsonNode> nodes = array(field(name), path + name);
    List<T> objects = new ArrayList<>();
    for (int i = 0; i < nodes.size(); i++) {
      objects.add(of(nodes.get(i), "%s%s[%d].".formatted(path, name, i), parser));
    }

    return objects;
  }
}
