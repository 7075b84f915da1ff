package io.expertatlas.trace.format;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.format.TensorFile.Element;
import io.expertatlas.trace.format.TensorFile.Tensor;
import io.expertatlas.trace.input.InputBytes;
import io.expertatlas.trace.input.ZipArchive;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The header of a safetensors file: 8 bytes length, little-endian, then a JSON object that gives
 * each tensor's dtype, shape and place in the bytes behind it.
 */
final class SafetensorsHeader {
  /** The format's own limit. */
  private static final long MAX_BYTES = 100_000_000;

  private SafetensorsHeader() {}

  /**
   * Reads the header. As the format demands, the tensors' bytes must cover the rest of the file,
   * without gaps or overlaps.
   *
   * @throws TraceFormatException if they do not, or it is no safetensors file
   */
  static Map<String, Tensor> read(Path path, InputBytes bytes) throws IOException {
    long size = bytes.sizeUpTo(Long.MAX_VALUE);
    ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    bytes.read(0, length);
    long headerBytes = size < 8 ? -1 : length.getLong(0);
    if (headerBytes < 2 || headerBytes > Math.min(MAX_BYTES, size - 8)) {
      throw new TraceFormatException(
          "Invalid safetensors file: %s has %d bytes, its header would have %d"
              .formatted(path, size, headerBytes));
    }

    ByteBuffer text = ByteBuffer.allocate((int) headerBytes);
    bytes.read(8, text);
    JsonNode root;
    try {
      root = Json.MAPPER.readTree(text.array());
    } catch (JsonProcessingException e) {
      throw new TraceFormatException(
          "Invalid safetensors header in %s: %s".formatted(path, e.getOriginalMessage()), e);
    }

    if (!root.isObject()) {
      throw new TraceFormatException(
          "Invalid safetensors header in %s: not a JSON object".formatted(path));
    }

    List<Tensor> found = new ArrayList<>();
    for (Map.Entry<String, JsonNode> entry : root.properties()) {
      if (!entry.getKey().equals("__metadata__")) {
        found.add(tensor(path, entry.getKey(), entry.getValue(), 8 + headerBytes));
      }
    }

    checkCover(path, found, 8 + headerBytes, size);
    Map<String, Tensor> tensors = new TreeMap<>();
    found.forEach(tensor -> tensors.put(tensor.name(), tensor));
    return tensors;
  }

  private static Tensor tensor(Path path, String name, JsonNode node, long start) {
    Element type;
    try {
      type = Element.valueOf(node.path("dtype").asText());
    } catch (IllegalArgumentException e) {
      throw new TraceFormatException(
          "Cannot read tensor %s of %s: its dtype is %s, known are %s"
              .formatted(
                  ZipArchive.printable(name),
                  path,
                  Json.shorten(node.path("dtype")),
                  List.of(Element.values())),
          e);
    }

    List<Long> shape = numbers(path, name, node, "shape");
    List<Long> offsets = numbers(path, name, node, "data_offsets");
    Tensor tensor = new Tensor(name, type, shape, start + (offsets.isEmpty() ? 0 : offsets.get(0)));
    long bytes;
    try {
      bytes = Math.multiplyExact(tensor.elements(), (long) type.size);
    } catch (ArithmeticException e) {
      bytes = -1;
    }

    if (offsets.size() != 2 || bytes < 0 || offsets.get(1) - offsets.get(0) != bytes) {
      throw new TraceFormatException(
          "Invalid tensor %s in %s: shape %s of %s, but data_offsets %s"
              .formatted(name, path, shape, type, offsets));
    }

    return tensor;
  }

  private static List<Long> numbers(Path path, String name, JsonNode node, String key) {
    List<Long> numbers = new ArrayList<>();
    for (JsonNode number : node.path(key)) {
      if (!number.canConvertToLong() || !number.isIntegralNumber() || number.asLong() < 0) {
        throw new TraceFormatException(
            "Invalid %s of tensor %s in %s: %s"
                .formatted(key, ZipArchive.printable(name), path, Json.shorten(node.path(key))));
      }

      numbers.add(number.asLong());
    }

    return numbers;
  }

  private static void checkCover(Path path, List<Tensor> tensors, long start, long end) {
    tensors.sort(
        Comparator.comparingLong(Tensor::offset)
            .thenComparingLong(Tensor::elements)
            .thenComparing(Tensor::name));
    long at = start;
    for (Tensor tensor : tensors) {
      if (tensor.offset() != at) {
        throw new TraceFormatException(
            "Invalid safetensors file %s: tensor %s begins at byte %d, expected %d"
                .formatted(path, tensor.name(), tensor.offset(), at));
      }

      at += tensor.elements() * tensor.type().size;
    }

    if (at != end) {
      throw new TraceFormatException(
          "%s safetensors file: %s has %d bytes, its header announces %d"
              .formatted(end < at ? "Truncated" : "Invalid", path, end, at));
    }
  }
}
