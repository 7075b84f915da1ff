package io.expertatlas.trace.json;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Writes a trace as a capture folder, format-version 1: {@code capture.json} beside {@code .npy}
 * arrays of experts, router weights if there are any, sequences, positions and phases.
 *
 * @param model where the traced model is
 * @param architecture its name
 * @param stack {@code decoder} or {@code encoder}
 * @param moeLayers index of each MoE layer among the layers of the stack
 * @param hiddenSize numbers of a token's vector
 * @param createdBy what made the trace
 */
public record CaptureWriter(
    String model,
    String architecture,
    String stack,
    List<Integer> moeLayers,
    int hiddenSize,
    String createdBy) {
  /** The names of the files that it writes. */
  public static final Pattern NAMES =
      Pattern.compile("capture\\.json|(experts|weights|sequence|position|phase)\\.npy");

  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final int PIECE = 1 << 16;

  /** Copies the list. */
  public CaptureWriter {
    Objects.requireNonNull(model, "model is null");
    Objects.requireNonNull(architecture, "architecture is null");
    Objects.requireNonNull(stack, "stack is null");
    Objects.requireNonNull(createdBy, "createdBy is null");
    moeLayers = List.copyOf(moeLayers);
  }

  /** Puts one number of an array into a buffer. */
  @FunctionalInterface
  private interface Element {
    void put(int index, ByteBuffer into);
  }

  /**
   * Fills an empty folder.
   *
   * @param trace its rows in ascending sequence, in a sequence in ascending position
   * @throws IllegalArgumentException if rows stand in another order, or the layers are not its
   * @throws IOException if a file cannot be written
   */
  public void write(RoutingTrace trace, Path folder) throws IOException {
    check(trace);
    ModelShape shape = trace.shape();
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", 1);
    root.put("model", model);
    root.put("architecture", architecture);
    root.put("stack", stack);
    moeLayers.forEach(root.putArray("moe-layers")::add);
    root.put("layers", shape.layers());
    root.put("experts", shape.experts());
    root.put("top-k", shape.topK());
    root.put("tokens", trace.tokens());
    root.put("sequences", sequences(trace));
    root.put("hidden-size", hiddenSize);
    root.put("created-by", createdBy);
    ObjectNode files = root.putObject("files");
    int width = shape.choicesPerToken();
    List<Integer> choices = List.of(trace.tokens(), shape.layers(), shape.topK());
    List<Integer> tokens = List.of(trace.tokens());
    boolean small = shape.experts() <= 256;
    array(
        files,
        folder.resolve("experts.npy"),
        small ? "uint8" : "uint16",
        choices,
        (i, into) -> {
          int expert = trace.expert(i / width, i % width / shape.topK(), i % shape.topK());
          if (small) {
            into.put((byte) expert);
          } else {
            into.putShort((short) expert);
          }
        });
    if (trace.hasWeights()) {
      array(
          files,
          folder.resolve("weights.npy"),
          "float32",
          choices,
          (i, into) ->
              into.putFloat(trace.weight(i / width, i % width / shape.topK(), i % shape.topK())));
    }

    array(
        files,
        folder.resolve("sequence.npy"),
        "int32",
        tokens,
        (i, into) -> into.putInt(trace.sequence(i)));
    array(
        files,
        folder.resolve("position.npy"),
        "int32",
        tokens,
        (i, into) -> into.putInt(trace.position(i)));
    array(
        files,
        folder.resolve("phase.npy"),
        "uint8",
        tokens,
        (i, into) -> into.put((byte) trace.phase(i).code()));
    Files.writeString(
        folder.resolve("capture.json"), root.toPrettyString() + "\n", StandardCharsets.UTF_8);
  }

  private void check(RoutingTrace trace) {
    if (moeLayers.size() != trace.shape().layers()) {
      throw new IllegalArgumentException(
          "Invalid MoE layers: %s, the trace has %s".formatted(moeLayers, trace.shape()));
    }

    for (int token = 1; token < trace.tokens(); token++) {
      int sequence = Integer.compare(trace.sequence(token - 1), trace.sequence(token));
      if (sequence > 0 || (sequence == 0 && trace.position(token - 1) >= trace.position(token))) {
        throw new IllegalArgumentException(
            "Invalid order of tokens: sequence %d, position %d stands before sequence %d, position %d"
                .formatted(
                    trace.sequence(token - 1),
                    trace.position(token - 1),
                    trace.sequence(token),
                    trace.position(token)));
      }
    }
  }

  private static int sequences(RoutingTrace trace) {
    int sequences = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      sequences += token == 0 || trace.sequence(token) != trace.sequence(token - 1) ? 1 : 0;
    }

    return sequences;
  }

  /** Writes an array and its entry in the description. */
  private static void array(
      ObjectNode files, Path file, String dtype, List<Integer> shape, Element element)
      throws IOException {
    MessageDigest digest = sha256();
    int count = shape.stream().reduce(1, Math::multiplyExact);
    ByteBuffer piece = ByteBuffer.allocate(PIECE).order(ByteOrder.LITTLE_ENDIAN);
    try (OutputStream out = new DigestOutputStream(Files.newOutputStream(file), digest)) {
      out.write(header(dtype, shape));
      for (int i = 0; i < count; i++) {
        element.put(i, piece);
        if (piece.remaining() < Long.BYTES || i == count - 1) {
          out.write(piece.array(), 0, piece.position());
          piece.clear();
        }
      }
    }

    ObjectNode entry = files.putObject(file.getFileName().toString());
    entry.put("dtype", dtype);
    shape.forEach(entry.putArray("shape")::add);
    entry.put("sha256", HexFormat.of().formatHex(digest.digest()));
  }

  /** The header of an .npy file, version 1: the data begin at a multiple of 64 bytes. */
  private static byte[] header(String dtype, List<Integer> shape) {
    String descr =
        switch (dtype) {
          case "uint8" -> "|u1";
          case "uint16" -> "<u2";
          case "int32" -> "<i4";
          default -> "<f4";
        };
    String axes =
        shape.stream().map(String::valueOf).collect(Collectors.joining(", "))
            + (shape.size() == 1 ? "," : "");
    String text = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }".formatted(descr, axes);
    int length = (10 + text.length() + 1 + 63) / 64 * 64 - 10;
    ByteBuffer header = ByteBuffer.allocate(10 + length).order(ByteOrder.LITTLE_ENDIAN);
    header.put((byte) 0x93).put("NUMPY".getBytes(StandardCharsets.US_ASCII));
    header.put((byte) 1).put((byte) 0).putShort((short) length);
    header.put(
        (text + " ".repeat(length - text.length() - 1) + "\n").getBytes(StandardCharsets.US_ASCII));
    return header.array();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new UncheckedIOException(new IOException("This JDK has no SHA-256", e));
    }
  }
}
