package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Expert ids {@code [token][layer][rank]} out of a JSON document. */
record EncodedArray(int tokens, int layers, int topK, int[] ids) {
  /** How bytes are written as text. */
  enum Encoding {
    BASE64,
    BASE85
  }

  private static final Map<String, Integer> SIZES =
      Map.of("uint8", 1, "int8", 1, "uint16", 2, "int16", 2, "int32", 4, "int64", 8);

  /** Reads nested lists. */
  static EncodedArray ofLists(String where, JsonNode lists) {
    int tokens = lists.size();
    int layers = lists.path(0).size();
    int topK = lists.path(0).path(0).size();
    checkAxes(where, tokens, layers, topK);
    int[] ids = new int[tokens * layers * topK];
    int at = 0;
    for (int token = 0; token < tokens; token++) {
      checkList(lists.get(token), layers, "%s[%d]", where, token);
      for (int layer = 0; layer < layers; layer++) {
        JsonNode ranks = lists.get(token).get(layer);
        checkList(ranks, topK, "%s[%d][%d]", where, token, layer);
        for (int rank = 0; rank < topK; rank++) {
          JsonNode id = ranks.get(rank);
          if (!id.isIntegralNumber() || !id.canConvertToInt()) {
            throw new TraceFormatException(
                "Invalid expert id in %s[%d][%d][%d]: %s, expected a whole number"
                    .formatted(where, token, layer, rank, Json.shorten(id)));
          }

          ids[at++] = id.asInt();
        }
      }
    }

    return new EncodedArray(tokens, layers, topK, ids);
  }

  /** Tokens without ids would be many for nothing, and more than an array holds are an error. */
  private static void checkAxes(String where, long tokens, long layers, long topK) {
    if (tokens > 0 && (layers < 1 || topK < 1)
        || (double) tokens * layers * topK > Integer.MAX_VALUE / 8) {
      throw new TraceFormatException(
          "Invalid routes in %s: %d tokens with %d layers and top-%d, expected at least 1 of both, and at most %d ids"
              .formatted(where, tokens, layers, topK, Integer.MAX_VALUE / 8));
    }
  }

  private static void checkList(JsonNode list, int length, String place, Object... arguments) {
    if (!list.isArray() || list.size() != length) {
      throw new TraceFormatException(
          "Invalid routes in %s: %s, expected a list of %d"
              .formatted(
                  place.formatted(arguments),
                  list.isArray() ? "a list of " + list.size() : Json.shorten(list),
                  length));
    }
  }

  /**
   * Reads {@code {data, shape, dtype}}; without dtype, int32.
   *
   * @param declared what the user says; empty: told by the length of the text
   */
  static EncodedArray ofData(String where, JsonNode node, Optional<Encoding> declared) {
    String dtype = node.has("dtype") ? node.path("dtype").asText() : "int32";
    dtype = dtype.startsWith("torch.") ? dtype.substring(6) : dtype;
    if (!SIZES.containsKey(dtype)) {
      throw new TraceFormatException(
          "Invalid dtype in %s: %s, known are int8 to int64, uint8 and uint16"
              .formatted(where, Json.shorten(node.path("dtype"))));
    }

    if (!node.path("data").isTextual() || !node.path("shape").isArray()) {
      throw new TraceFormatException(
          "Invalid routes in %s: %s, expected a list or an object with data and shape"
              .formatted(where, Json.shorten(node)));
    }

    long[] shape = new long[3];
    for (int axis = 0; axis < 3; axis++) {
      JsonNode length = node.path("shape").path(axis);
      if (node.path("shape").size() != 3
          || !length.isIntegralNumber()
          || length.asLong() < 0
          || length.asLong() > Integer.MAX_VALUE) {
        throw new TraceFormatException(
            "Invalid shape in %s: %s, expected [tokens, layers, k]"
                .formatted(where, Json.shorten(node.path("shape"))));
      }

      shape[axis] = length.asLong();
    }

    checkAxes(where, shape[0], shape[1], shape[2]);
    String text = node.path("data").asText();
    int size = SIZES.get(dtype);
    byte[] bytes = decode(where, text, declared, shape, size);
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    long[] values = new long[bytes.length / size];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (dtype) {
            case "uint8" -> buffer.get(i) & 0xff;
            case "int8" -> buffer.get(i);
            case "uint16" -> buffer.getShort(2 * i) & 0xffff;
            case "int16" -> buffer.getShort(2 * i);
            case "int32" -> buffer.getInt(4 * i);
            default -> buffer.getLong(8 * i);
          };
    }

    return new EncodedArray((int) shape[0], (int) shape[1], (int) shape[2], narrow(values, where));
  }

  private static byte[] decode(
      String where, String text, Optional<Encoding> declared, long[] shape, int size) {
    long wanted = shape[0] * shape[1] * shape[2] * size; // checkAxes has bounded it
    boolean fits64 = text.length() == (wanted + 2) / 3 * 4;
    boolean fits85 = text.length() == Base85.textLength(wanted);
    if (declared.isEmpty() && fits64 && fits85 && wanted > 0) {
      throw new TraceFormatException(
          "Cannot tell how the %d bytes of %s are encoded: %d characters fit base64 and base85. Maybe say it with --format-option encoding=base64"
              .formatted(wanted, where, text.length()));
    }

    Encoding encoding = declared.orElse(fits85 ? Encoding.BASE85 : Encoding.BASE64);
    if (encoding == Encoding.BASE64 ? !fits64 : !fits85) {
      throw new TraceFormatException(
          "Invalid data in %s: %d characters, the shape needs %d bytes, which are %d in base64 and %d in base85"
              .formatted(
                  where, text.length(), wanted, (wanted + 2) / 3 * 4, Base85.textLength(wanted)));
    }

    byte[] bytes;
    try {
      bytes = encoding == Encoding.BASE64 ? Base64.getDecoder().decode(text) : Base85.decode(text);
    } catch (IllegalArgumentException e) {
      throw new TraceFormatException(
          "Invalid %s in %s: %s"
              .formatted(encoding.name().toLowerCase(Locale.ROOT), where, e.getMessage()),
          e);
    }

    if (bytes.length != wanted) {
      throw new TraceFormatException(
          "Invalid data in %s: %d bytes, the shape needs %d"
              .formatted(where, bytes.length, wanted));
    }

    return bytes;
  }

  /** Makes ids small; one that is no id whatever the model stays none. */
  static int[] narrow(long[] values, Object where) {
    int[] ids = new int[values.length];
    for (int i = 0; i < values.length; i++) {
      if (values[i] < -1 || values[i] >= ModelShape.MAX_EXPERTS) {
        throw new TraceFormatException(
            "Invalid expert id %d in %s, value %d: -1 to %d"
                .formatted(values[i], where, i, ModelShape.MAX_EXPERTS - 1));
      }

      ids[i] = (int) values[i];
    }

    return ids;
  }

  /** Arrays one after the other; those without tokens fit any. */
  static EncodedArray join(List<EncodedArray> parts, String where) {
    EncodedArray all = parts.get(0);
    for (EncodedArray part : parts.subList(1, parts.size())) {
      if (all.tokens() == 0 || part.tokens() == 0) {
        all = all.tokens() == 0 ? part : all;
        continue;
      }

      if (part.layers() != all.layers() || part.topK() != all.topK()) {
        throw new TraceFormatException(
            "Invalid routes in %s: %d layers with top-%d, but its prompt has %d with top-%d"
                .formatted(where, part.layers(), part.topK(), all.layers(), all.topK()));
      }

      int[] ids = new int[all.ids().length + part.ids().length];
      System.arraycopy(all.ids(), 0, ids, 0, all.ids().length);
      System.arraycopy(part.ids(), 0, ids, all.ids().length, part.ids().length);
      all = new EncodedArray(all.tokens() + part.tokens(), all.layers(), all.topK(), ids);
    }

    return all;
  }
}
