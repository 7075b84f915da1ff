package io.expertatlas.trace.json;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest.InputFile;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifest.Source;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/** {@link TraceManifest} as JSON. Unknown keys and versions are errors. */
public final class TraceManifestParser {
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .build();

  private TraceManifestParser() {}

  /** The manifest as JSON, ended by a line break. */
  public static String toJson(TraceManifest manifest) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", TraceManifest.FORMAT_VERSION);
    root.put("layers", manifest.shape().layers());
    root.put("experts", manifest.shape().experts());
    root.put("top-k", manifest.shape().topK());
    root.put("tokens", manifest.tokens());
    root.put("sequences", manifest.sequences());
    root.put("weights", manifest.weights());
    root.put("created-by", manifest.createdBy());
    ArrayNode sources = root.putArray("sources");
    for (Source source : manifest.sources()) {
      ObjectNode node = sources.addObject();
      node.put("name", source.name());
      node.put("format", source.format());
      node.put("tokens", source.tokens());
      node.put("sequence-offset", source.sequenceOffset());
      ArrayNode files = node.putArray("files");
      for (InputFile file : source.files()) {
        ObjectNode child = files.addObject();
        child.put("name", file.name());
        child.put("bytes", file.bytes());
        child.put("sha256", file.sha256());
      }
    }

    ArrayNode parts = root.putArray("parts");
    for (Part part : manifest.parts()) {
      ObjectNode node = parts.addObject();
      node.put("file", part.file());
      node.put("rows", part.rows());
      node.put("bytes", part.bytes());
      node.put("sha256", part.sha256());
    }

    try {
      return MAPPER.writeValueAsString(root) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("Cannot write a manifest", e);
    }
  }

  /**
   * Reads the manifest of a dataset.
   *
   * @throws TraceFormatException if there is none or it is broken
   */
  public static TraceManifest read(Path dataset) {
    Path file = dataset.resolve(TraceManifest.FILE);
    if (!Files.isRegularFile(file)) {
      throw new TraceFormatException(
          "Cannot read dataset %s: %s"
              .formatted(
                  dataset,
                  Files.exists(dataset) ? "it has no " + TraceManifest.FILE : "no such folder"));
    }

    try {
      return fromJson(Files.readString(file), file.toString());
    } catch (CharacterCodingException e) {
      throw new TraceFormatException("Invalid manifest: %s is not UTF-8".formatted(file), e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  /**
   * Parses a manifest.
   *
   * @param json the text
   * @param place where it comes from, for messages
   * @throws TraceFormatException if it is no manifest of a known version
   */
  public static TraceManifest fromJson(String json, String place) {
    Objects.requireNonNull(json, "json is null");
    JsonNode root;
    try {
      root = MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw new TraceFormatException(
          "Invalid JSON in %s: %s".formatted(place, e.getOriginalMessage()), e);
    }

    Keys keys = new Keys(root, place, "manifest");
    long version = keys.number("format-version");
    if (version != TraceManifest.FORMAT_VERSION) {
      throw new TraceFormatException(
          "Invalid format-version in %s: %d, known is %d"
              .formatted(place, version, TraceManifest.FORMAT_VERSION));
    }

    try {
      ModelShape shape =
          new ModelShape(
              Math.toIntExact(keys.number("layers")),
              Math.toIntExact(keys.number("experts")),
              Math.toIntExact(keys.number("top-k")));
      TraceManifest manifest =
          new TraceManifest(
              shape,
              keys.number("tokens"),
              keys.number("sequences"),
              keys.truth("weights"),
              keys.text("created-by"),
              keys.list("sources", TraceManifestParser::source),
              keys.list("parts", TraceManifestParser::part));
      keys.end();
      return manifest;
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new TraceFormatException("%s, in %s".formatted(e.getMessage(), place), e);
    }
  }

  private static Source source(Keys keys) {
    return new Source(
        keys.text("name"),
        keys.text("format"),
        keys.number("tokens"),
        keys.number("sequence-offset"),
        keys.list("files", TraceManifestParser::inputFile));
  }

  private static InputFile inputFile(Keys keys) {
    return new InputFile(keys.text("name"), keys.number("bytes"), keys.text("sha256"));
  }

  private static Part part(Keys keys) {
    return new Part(
        keys.text("file"), keys.number("rows"), keys.number("bytes"), keys.text("sha256"));
  }

  /** The keys of one object, each of which is to be read. */
  private static final class Keys {
    private final JsonNode node;
    private final String place;
    private final String what;
    private final Set<String> left = new TreeSet<>();

    Keys(JsonNode node, String place, String what) {
      this.node = node;
      this.place = place;
      this.what = what;
      if (node == null || !node.isObject()) {
        throw new TraceFormatException(
            "Invalid %s in %s: expected a JSON object".formatted(what, place));
      }

      node.fieldNames().forEachRemaining(left::add);
    }

    private JsonNode take(String key, Function<JsonNode, Boolean> fits, String expected) {
      JsonNode value = node.path(key);
      if (value.isMissingNode() || !fits.apply(value)) {
        throw new TraceFormatException(
            "Invalid %s in %s: key '%s' is %s, expected %s"
                .formatted(
                    what, place, key, value.isMissingNode() ? "missing" : cut(value), expected));
      }

      left.remove(key);
      return value;
    }

    private static String cut(Object value) {
      String text = value.toString();
      return text.length() > 60 ? text.substring(0, 57) + "..." : text;
    }

    long number(String key) {
      return take(key, v -> v.isIntegralNumber() && v.canConvertToLong(), "a whole number")
          .asLong();
    }

    String text(String key) {
      return take(key, JsonNode::isTextual, "text").asText();
    }

    boolean truth(String key) {
      return take(key, JsonNode::isBoolean, "true or false").asBoolean();
    }

    <T> List<T> list(String key, Function<Keys, T> parser) {
      List<T> values = new ArrayList<>();
      for (JsonNode element : take(key, JsonNode::isArray, "a list")) {
        Keys keys = new Keys(element, place, "element of " + key);
        values.add(parser.apply(keys));
        keys.end();
      }

      return values;
    }

    void end() {
      if (!left.isEmpty()) {
        throw new TraceFormatException(
            "Invalid %s in %s: unknown keys %s".formatted(what, place, cut(left)));
      }
    }
  }
}
