package io.expertatlas.predictor.json;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.WeightTensor;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A safetensors file: 8 bytes header length, little-endian; a JSON object with dtype, shape and
 * place of each tensor; the tensors' bytes, without gaps. Reading knows the header only, a tensor
 * is read when it is asked for. Immutable and safe for several threads.
 */
public final class SafetensorsFile {
  private static final long MAX_HEADER = 100_000_000; // the format's own limit
  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private final Path path;
  private final Map<String, Entry> entries;

  /**
   * A tensor of the file.
   *
   * @param dtype as written, such as {@code BF16}
   * @param shape length of each axis
   * @param offset its first byte in the file
   * @param bytes its length
   */
  public record Entry(String dtype, List<Long> shape, long offset, long bytes) {
    /** Copies the shape. */
    public Entry {
      shape = List.copyOf(shape);
    }
  }

  private SafetensorsFile(Path path, Map<String, Entry> entries) {
    this.path = path;
    this.entries = entries;
  }

  /**
   * Reads a file's header.
   *
   * @throws PredictorFormatException if it is no safetensors file, or its tensors do not cover it
   * @throws IOException if it cannot be read
   */
  public static SafetensorsFile open(Path path) throws IOException {
    try (FileChannel channel = FileChannel.open(path)) {
      long size = channel.size();
      long header = size < 8 ? -1 : read(channel, path, 0, 8).getLong(0);
      if (header < 2 || header > Math.min(MAX_HEADER, size - 8)) {
        throw new PredictorFormatException(
            "Invalid safetensors file: %s has %d bytes, its header would have %d"
                .formatted(path, size, header));
      }

      JsonNode root = MAPPER.readTree(read(channel, path, 8, (int) header).array());
      if (root == null || !root.isObject()) {
        throw new PredictorFormatException(
            "Invalid safetensors header in %s: not a JSON object".formatted(path));
      }

      Map<String, Entry> entries = new TreeMap<>();
      for (Map.Entry<String, JsonNode> field : root.properties()) {
        if (!field.getKey().equals("__metadata__")) {
          entries.put(field.getKey(), entry(path, field.getKey(), field.getValue(), 8 + header));
        }
      }

      checkCover(path, entries, 8 + header, size);
      return new SafetensorsFile(path, entries);
    } catch (JsonProcessingException e) {
      throw new PredictorFormatException(
          "Invalid safetensors header in %s: %s".formatted(path, e.getOriginalMessage()), e);
    }
  }

  private static Entry entry(Path path, String name, JsonNode node, long start) {
    List<Long> shape = wholes(path, name, node, "shape");
    List<Long> place = wholes(path, name, node, "data_offsets");
    if (place.size() != 2 || place.get(0) > place.get(1) || place.get(1) > Long.MAX_VALUE - start) {
      throw new PredictorFormatException(
          "Invalid data_offsets of tensor %s in %s: %s".formatted(name, path, place));
    }

    return new Entry(
        node.path("dtype").asText(), shape, start + place.get(0), place.get(1) - place.get(0));
  }

  private static List<Long> wholes(Path path, String name, JsonNode node, String key) {
    List<Long> numbers = new ArrayList<>();
    for (JsonNode number : node.path(key)) {
      if (!number.isIntegralNumber() || !number.canConvertToLong() || number.asLong() < 0) {
        throw new PredictorFormatException(
            "Invalid %s of tensor %s in %s: %s".formatted(key, name, path, node.path(key)));
      }

      numbers.add(number.asLong());
    }

    return numbers;
  }

  private static void checkCover(Path path, Map<String, Entry> entries, long start, long end) {
    List<Map.Entry<String, Entry>> sorted = new ArrayList<>(entries.entrySet());
    sorted.sort(
        Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().offset())
            .thenComparingLong(e -> e.getValue().bytes()));
    long at = start;
    for (Map.Entry<String, Entry> one : sorted) {
      if (one.getValue().offset() != at) {
        throw new PredictorFormatException(
            "Invalid safetensors file %s: tensor %s begins at byte %d, expected %d"
                .formatted(path, one.getKey(), one.getValue().offset(), at));
      }

      at += one.getValue().bytes();
    }

    if (at != end) {
      throw new PredictorFormatException(
          "%s safetensors file: %s has %d bytes, its header announces %d"
              .formatted(end < at ? "Truncated" : "Invalid", path, end, at));
    }
  }

  /** The file. */
  public Path path() {
    return path;
  }

  /** The tensors by name. */
  public Map<String, Entry> entries() {
    return new TreeMap<>(entries);
  }

  /**
   * Reads a tensor of F32, F16 or BF16.
   *
   * @throws PredictorFormatException if it is missing, of another type, or its shape and bytes
   *     differ
   */
  public WeightTensor read(String name) throws IOException {
    Entry entry = entries.get(name);
    if (entry == null) {
      throw new PredictorFormatException("Missing tensor %s in %s".formatted(name, path));
    }

    int width =
        switch (entry.dtype()) {
          case "F32" -> 4;
          case "F16", "BF16" -> 2;
          default ->
              throw new PredictorFormatException(
                  "Cannot read tensor %s of %s: its dtype is %s, known are F32, F16, BF16"
                      .formatted(name, path, entry.dtype()));
        };
    List<Integer> shape = new ArrayList<>();
    long elements = 1;
    for (long axis : entry.shape()) {
      elements = axis > Integer.MAX_VALUE || elements > Integer.MAX_VALUE ? -1 : elements * axis;
      shape.add((int) Math.min(Integer.MAX_VALUE, axis));
    }

    if (elements < 0
        || elements * width != entry.bytes()
        || entry.bytes() > Integer.MAX_VALUE - 8) {
      throw new PredictorFormatException(
          "Invalid tensor %s in %s: shape %s of %s, but %d bytes"
              .formatted(name, path, entry.shape(), entry.dtype(), entry.bytes()));
    }

    float[] values = new float[(int) elements];
    try (FileChannel channel = FileChannel.open(path)) {
      ByteBuffer bytes = read(channel, path, entry.offset(), (int) entry.bytes());
      for (int i = 0; i < values.length; i++) {
        values[i] =
            switch (entry.dtype()) {
              case "F32" -> bytes.getFloat(4 * i);
              case "BF16" -> Float.intBitsToFloat(bytes.getShort(2 * i) << 16);
              default -> half(bytes.getShort(2 * i));
            };
      }
    }

    return new WeightTensor(shape, values);
  }

  /** IEEE 754 binary16. */
  private static float half(short bits) {
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    float magnitude =
        switch (exponent) {
          case 0 -> fraction * 0x1p-24f;
          case 0x1f -> fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
          default -> Float.intBitsToFloat(exponent + 112 << 23 | fraction << 13);
        };
    return bits < 0 ? -magnitude : magnitude;
  }

  private static ByteBuffer read(FileChannel channel, Path path, long offset, int length)
      throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      if (channel.read(bytes, offset + bytes.position()) < 0) {
        throw new PredictorFormatException(
            "Truncated safetensors file: %s ends before byte %d".formatted(path, offset + length));
      }
    }

    return bytes;
  }

  /** Writes tensors as F32, in the order of the map. */
  public static void write(Path file, Map<String, WeightTensor> tensors) throws IOException {
    ObjectNode header = MAPPER.createObjectNode();
    long at = 0;
    for (Map.Entry<String, WeightTensor> tensor : tensors.entrySet()) {
      ObjectNode node = header.putObject(tensor.getKey());
      node.put("dtype", "F32");
      ArrayNode shape = node.putArray("shape");
      tensor.getValue().shape().forEach(shape::add);
      long end = at + 4L * tensor.getValue().values().length;
      node.putArray("data_offsets").add(at).add(end);
      at = end;
    }

    String text = header.toString();
    text += " ".repeat((8 - text.length() % 8) % 8); // tensors begin at a multiple of 8
    byte[] head = text.getBytes(StandardCharsets.US_ASCII);
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 16)) {
      out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(head.length).array());
      out.write(head);
      for (WeightTensor tensor : tensors.values()) {
        ByteBuffer bytes =
            ByteBuffer.allocate(4 * tensor.values().length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(tensor.values());
        out.write(bytes.array());
      }
    }
  }
}
