package io.expertatlas.placement.format;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.expertatlas.placement.PlacementFormatException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;

/**
 * A JSON file read strictly, with the checks that the formats share; problems name file and path.
 */
final class JsonFile {
  static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();
  private static final int LONGEST_SHOWN = 40;

  private final Path file;

  JsonFile(Path file) {
    this.file = file;
  }

  /** The text of a file. */
  static String text(Path file) throws IOException {
    try {
      return Files.readString(file);
    } catch (CharacterCodingException e) {
      throw new PlacementFormatException("Cannot read %s: not UTF-8".formatted(file), e);
    }
  }

  /** The whole file as one value. */
  JsonNode root() throws IOException {
    return parse(text(file), 1);
  }

  /** One value of the file. */
  JsonNode parse(String json, int firstLine) {
    try {
      return MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      int line = e.getLocation() == null ? 1 : e.getLocation().getLineNr();
      int column = e.getLocation() == null ? 1 : e.getLocation().getColumnNr();
      String why =
          e.getOriginalMessage().startsWith("Duplicate field")
              ? "the key %s stands twice".formatted(e.getOriginalMessage().replaceAll("^[^']*", ""))
              : "not JSON at column %d".formatted(column);
      throw new PlacementFormatException(
          "Cannot read %s:%d: %s".formatted(file, line + firstLine - 1, why), e);
    }
  }

  PlacementFormatException problem(String path, String what) {
    return new PlacementFormatException(
        "Cannot read %s: %s".formatted(file, path.isEmpty() ? what : path + " " + what));
  }

  JsonNode object(JsonNode node, String path) {
    return typed(node, node.isObject(), path, "an object");
  }

  JsonNode array(JsonNode node, String path) {
    return typed(node, node.isArray(), path, "a list");
  }

  /** A field that must be there. */
  JsonNode field(JsonNode parent, String path, String name) {
    JsonNode node = parent.get(name);
    if (node == null) {
      throw problem(join(path, name), "is missing");
    }

    return node;
  }

  /** Refuses fields of other names. */
  void only(JsonNode object, String path, List<String> names) {
    for (Iterator<String> found = object.fieldNames(); found.hasNext(); ) {
      String name = found.next();
      if (!names.contains(name)) {
        throw problem(
            join(path, name), "is no key of this format, which has " + String.join(", ", names));
      }
    }
  }

  int whole(JsonNode node, String path, int least, int most) {
    boolean fits =
        node.isIntegralNumber()
            && node.canConvertToInt()
            && node.intValue() >= least
            && node.intValue() <= most;
    return typed(node, fits, path, "a whole number, %d to %d".formatted(least, most)).intValue();
  }

  int wholeField(JsonNode parent, String path, String name, int least, int most) {
    return whole(field(parent, path, name), join(path, name), least, most);
  }

  /** A list of expert ids. */
  int[] experts(JsonNode node, String path, int experts) {
    array(node, path);
    int[] row = new int[node.size()];
    for (int i = 0; i < row.length; i++) {
      JsonNode entry = node.get(i);
      boolean fits =
          entry.isIntegralNumber()
              && entry.canConvertToInt()
              && entry.intValue() >= 0
              && entry.intValue() < experts;
      row[i] =
          typed(entry, fits, path + "[" + i + "]", "an expert, 0 to %d".formatted(experts - 1))
              .intValue();
    }

    return row;
  }

  static String join(String path, String name) {
    return path.isEmpty() ? name : path + "." + name;
  }

  private JsonNode typed(JsonNode node, boolean fits, String path, String expected) {
    if (!fits) {
      String shown = node.toString();
      throw problem(
          path,
          "is %s, expected %s"
              .formatted(
                  shown.length() <= LONGEST_SHOWN
                      ? shown
                      : shown.substring(0, LONGEST_SHOWN - 3) + "...",
                  expected));
    }

    return node;
  }
}
