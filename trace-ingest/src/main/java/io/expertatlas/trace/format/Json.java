package io.expertatlas.trace.format;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputFiles;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/** How JSON of other programs is read: strict, but for the sizes of what one document holds. */
final class Json {
  /** Routes of a request may be one text; hundreds of megabytes for long contexts. */
  private static final int MAX_TEXT = 1 << 29;

  static final JsonMapper MAPPER =
      JsonMapper.builder(
              new com.fasterxml.jackson.core.JsonFactoryBuilder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxStringLength(MAX_TEXT)
                          .maxNestingDepth(100)
                          .build())
                  .disable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
                  .build())
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /** The same, for values that others follow. */
  static final JsonMapper SEQUENCES =
      MAPPER.rebuild().disable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private Json() {}

  /** Reads a file that is one JSON object. */
  static JsonNode readObject(Path path) {
    try (InputStream in = InputFiles.stream(path)) {
      JsonNode root = MAPPER.readTree(in);
      if (!root.isObject()) {
        throw new TraceFormatException("Invalid JSON in %s: not an object".formatted(path));
      }

      return root;
    } catch (JsonProcessingException e) {
      throw new TraceFormatException(
          "Invalid JSON in %s: %s".formatted(path, e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  /**
   * A whole number of an object.
   *
   * @param place of the object, such as {@code "dump.jsonl, line 3"}
   */
  static long whole(JsonNode object, String key, long min, long max, Object place) {
    JsonNode value = object.path(key);
    if (!value.isIntegralNumber()
        || !value.canConvertToLong()
        || value.asLong() < min
        || value.asLong() > max) {
      throw new TraceFormatException(
          "Invalid %s in %s: %s, expected a whole number from %d to %d"
              .formatted(key, place, value.isMissingNode() ? "missing" : shorten(value), min, max));
    }

    return value.asLong();
  }

  /** A value as text, cut to what fits a message. */
  static String shorten(JsonNode value) {
    String text = value.toString();
    return text.length() > 60 ? text.substring(0, 57) + "..." : text;
  }
}
