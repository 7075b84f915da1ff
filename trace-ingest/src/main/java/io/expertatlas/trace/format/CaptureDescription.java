package io.expertatlas.trace.format;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What {@code capture.json} says about a capture folder. Keys that do not concern routing (model,
 * architecture, hidden-size, ...) are left to others.
 *
 * @param path of {@code capture.json}
 * @param shape of the model
 * @param tokens rows of every array
 * @param arrays files by name
 */
record CaptureDescription(Path path, ModelShape shape, long tokens, Map<String, Array> arrays) {
  static final String FILE = "capture.json";

  /** The dtype and the shape of an array. */
  record Array(String dtype, List<Long> shape) {}

  CaptureDescription {
    arrays = new TreeMap<>(arrays);
  }

  static CaptureDescription read(Path folder) {
    Path path = folder.resolve(FILE);
    if (!Files.isRegularFile(path)) {
      throw new TraceFormatException(
          "Cannot read capture %s: %s"
              .formatted(folder, Files.exists(folder) ? "it has no " + FILE : "no such folder"));
    }

    try {
      JsonNode root =
          JsonMapper.builder()
              .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
              .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
              .build()
              .readTree(path.toFile());
      return parse(path, root);
    } catch (JsonProcessingException e) {
      throw new TraceFormatException(
          "Invalid JSON in %s: %s".formatted(path, e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  private static CaptureDescription parse(Path path, JsonNode root) {
    long version = number(path, root, "format-version");
    if (version != 1) {
      throw new TraceFormatException(
          "Invalid format-version in %s: %d, known is 1".formatted(path, version));
    }

    long layers = number(path, root, "layers");
    long experts = number(path, root, "experts");
    long topK = number(path, root, "top-k");
    ModelShape shape;
    try {
      shape =
          new ModelShape(Math.toIntExact(layers), Math.toIntExact(experts), Math.toIntExact(topK));
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new TraceFormatException(
          "Invalid shape in %s: layers %d, experts %d, top-k %d (%s)"
              .formatted(path, layers, experts, topK, e.getMessage()),
          e);
    }

    JsonNode files = root.path("files");
    if (!files.isObject()) {
      throw new TraceFormatException("Invalid capture: %s has no object 'files'".formatted(path));
    }

    Map<String, Array> arrays = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : files.properties()) {
      JsonNode array = entry.getValue();
      List<Long> axes = new ArrayList<>();
      for (JsonNode axis : array.path("shape")) {
        if (!axis.isIntegralNumber() || !axis.canConvertToLong() || axis.asLong() < 0) {
          throw new TraceFormatException(
              "Invalid shape of %s in %s: %s"
                  .formatted(entry.getKey(), path, Json.shorten(array.path("shape"))));
        }

        axes.add(axis.asLong());
      }

      if (!array.path("dtype").isTextual() || !array.path("shape").isArray()) {
        throw new TraceFormatException(
            "Invalid entry %s in %s: dtype and shape are needed".formatted(entry.getKey(), path));
      }

      arrays.put(entry.getKey(), new Array(array.path("dtype").asText(), List.copyOf(axes)));
    }

    return new CaptureDescription(path, shape, number(path, root, "tokens"), arrays);
  }

  private static long number(Path path, JsonNode root, String key) {
    JsonNode value = root.path(key);
    if (!value.isIntegralNumber() || !value.canConvertToLong() || value.asLong() < 0) {
      throw new TraceFormatException(
          "Invalid %s in %s: %s, expected a whole number"
              .formatted(key, path, value.isMissingNode() ? "missing" : Json.shorten(value)));
    }

    return value.asLong();
  }

  /** The path of an array that must be there. */
  Path require(String name) {
    return find(name)
        .orElseThrow(
            () ->
                new TraceFormatException(
                    "Missing array %s: %s does not name it".formatted(name, path)));
  }

  /** The path of an array, if the capture has it. */
  Optional<Path> find(String name) {
    return arrays.containsKey(name)
        ? Optional.of(InputFiles.orCompressed(path.resolveSibling(name)))
        : Optional.empty();
  }

  /** Checks that a file is what the description says. */
  void check(NpyFile file, String name, List<Long> expected) {
    Array array = arrays.get(name);
    if (!file.header().shape().equals(expected) || !array.shape().equals(expected)) {
      throw new TraceFormatException(
          "Invalid shape of %s: %s in the file, %s in %s, expected %s from its layers, top-k and tokens"
              .formatted(file.path(), file.header().shape(), array.shape(), path, expected));
    }

    NpyType type = file.type();
    String dtype =
        switch (type.kind()) {
              case SIGNED -> "int";
              case UNSIGNED -> "uint";
              case FLOATING -> "float";
            }
            + 8 * type.size();
    if (!array.dtype().equals(dtype)) {
      throw new TraceFormatException(
          "Invalid dtype of %s: %s in the file, %s in %s"
              .formatted(file.path(), dtype, array.dtype(), path));
    }
  }
}
