package io.expertatlas.runtime.checkpoint;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.expertatlas.runtime.CheckpointException;
import io.expertatlas.runtime.DType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A safetensors file: 8 bytes length, little-endian, then a JSON object that gives each tensor's
 * dtype, shape and place, then the tensors' bytes, without gaps or overlaps.
 */
final class SafetensorsFile {
  /** The format's own limit of the header. */
  private static final long MAX_HEADER_BYTES = 100_000_000;

  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final Path path;
  private final MappedFile file;

  private SafetensorsFile(Path path, MappedFile file) {
    this.path = path;
    this.file = file;
  }

  /**
   * The tensors of a file by name.
   *
   * @throws CheckpointException if it is broken, with file and tensor
   */
  static Map<String, StoredTensor> read(Path path) throws IOException {
    return new SafetensorsFile(path, new MappedFile(path)).tensors();
  }

  private Map<String, StoredTensor> tensors() throws IOException {
    ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    long headerBytes = -1;
    if (file.bytes() >= 8) {
      file.read(0, length);
      headerBytes = length.getLong(0);
    }

    if (headerBytes < 2 || headerBytes > Math.min(MAX_HEADER_BYTES, file.bytes() - 8)) {
      throw new CheckpointException(
          "Invalid safetensors file: %s has %d bytes, its header would have %d"
              .formatted(path, file.bytes(), headerBytes));
    }

    ByteBuffer text = ByteBuffer.allocate((int) headerBytes);
    file.read(8, text);
    JsonNode root;
    try {
      root = MAPPER.readTree(new String(text.array(), StandardCharsets.UTF_8));
    } catch (JsonProcessingException e) {
      throw new CheckpointException(
          "Invalid safetensors header in %s: %s".formatted(path, e.getOriginalMessage()), e);
    }

    if (!root.isObject()) {
      throw new CheckpointException(
          "Invalid safetensors header in %s: not a JSON object".formatted(path));
    }

    List<StoredTensor> found = new ArrayList<>();
    for (Map.Entry<String, JsonNode> entry : root.properties()) {
      if (!entry.getKey().equals("__metadata__")) {
        found.add(tensor(entry.getKey(), entry.getValue(), 8 + headerBytes));
      }
    }

    checkCover(found, 8 + headerBytes);
    Map<String, StoredTensor> tensors = new TreeMap<>();
    found.forEach(tensor -> tensors.put(tensor.name(), tensor));
    return tensors;
  }

  private StoredTensor tensor(String name, JsonNode node, long start) {
    DType type =
        switch (node.path("dtype").asText()) {
          case "F32" -> DType.F32;
          case "F16" -> DType.F16;
          case "BF16" -> DType.BF16;
          case "I32" -> DType.I32;
          default ->
              throw new CheckpointException(
                  "Cannot read tensor %s of %s: its dtype is %s, known are F32, F16, BF16, I32"
                      .formatted(name, path, node.path("dtype")));
        };
    List<Long> shape = numbers(name, node, "shape");
    List<Long> offsets = numbers(name, node, "data_offsets");
    if (offsets.size() != 2 || offsets.get(1) - offsets.get(0) != bytes(shape, type)) {
      throw new CheckpointException(
          "Invalid tensor %s in %s: shape %s of %s, but data_offsets %s"
              .formatted(name, path, shape, type, offsets));
    }

    return new StoredTensor(name, type, shape, path, file, start + offsets.get(0));
  }

  private static long bytes(List<Long> shape, DType type) {
    try {
      long product = type.bytes();
      for (long axis : shape) {
        product = Math.multiplyExact(product, axis);
      }

      return product;
    } catch (ArithmeticException e) {
      return -1;
    }
  }

  private List<Long> numbers(String name, JsonNode node, String key) {
    List<Long> numbers = new ArrayList<>();
    for (JsonNode number : node.path(key)) {
      if (!number.canConvertToLong() || !number.isIntegralNumber() || number.asLong() < 0) {
        throw new CheckpointException(
            "Invalid %s of tensor %s in %s: %s".formatted(key, name, path, node.path(key)));
      }

      numbers.add(number.asLong());
    }

    return List.copyOf(numbers);
  }

  private void checkCover(List<StoredTensor> tensors, long start) {
    tensors.sort(
        Comparator.comparingLong(StoredTensor::offset)
            .thenComparingLong(StoredTensor::elements)
            .thenComparing(StoredTensor::name));
    long at = start;
    for (StoredTensor tensor : tensors) {
      if (tensor.offset() != at) {
        throw new CheckpointException(
            "Invalid safetensors file %s: tensor %s begins at byte %d, expected %d"
                .formatted(path, tensor.name(), tensor.offset(), at));
      }

      at += tensor.elements() * tensor.type().bytes();
    }

    if (at != file.bytes()) {
      throw new CheckpointException(
          "%s safetensors file: %s has %d bytes, its header announces %d"
              .formatted(file.bytes() < at ? "Truncated" : "Invalid", path, file.bytes(), at));
    }
  }
}
