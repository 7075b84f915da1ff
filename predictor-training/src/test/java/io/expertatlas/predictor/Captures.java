package io.expertatlas.predictor;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntToDoubleFunction;

/** Router states as a capture, the folder that {@code --trace} takes. */
public final class Captures {
  private Captures() {}

  /** Writes states to a new folder. */
  public static Path write(RouterStates states, Path folder) throws IOException {
    Files.createDirectories(folder);
    ModelShape shape = states.routes().shape();
    int tokens = states.tokens();
    int layers = shape.layers();
    List<String> files = new ArrayList<>();
    int choices = shape.choicesPerToken();
    files.add(
        array(
            folder.resolve("experts.npy"),
            "<i4",
            i -> states.routes().expert(i / choices, i % choices / shape.topK(), i % shape.topK()),
            tokens,
            layers,
            shape.topK()));
    files.add(
        array(folder.resolve("sequence.npy"), "<i4", i -> states.routes().sequence(i), tokens));
    files.add(
        array(folder.resolve("position.npy"), "<i4", i -> states.routes().position(i), tokens));
    files.add(array(folder.resolve("phase.npy"), "<i4", i -> 0, tokens));
    int hidden = states.hiddenSize();
    files.add(
        array(
            folder.resolve("hidden.npy"),
            "<f4",
            i -> states.hidden(i / hidden / layers, i / hidden % layers, i % hidden),
            tokens,
            layers,
            hidden));
    if (states.scores() == Scores.LOGITS) {
      int experts = shape.experts();
      files.add(
          array(
              folder.resolve("logits.npy"),
              "<f4",
              i -> states.score(i / experts / layers, i / experts % layers, i % experts),
              tokens,
              layers,
              experts));
    }

    Files.writeString(
        folder.resolve("capture.json"),
        """
        {"format-version": 1, "model": "teacher", "layers": %d, "experts": %d, "top-k": %d,
         "tokens": %d, "files": {%s}}
        """
            .formatted(layers, shape.experts(), shape.topK(), tokens, String.join(", ", files)));
    return folder;
  }

  /** Writes an array and tells its entry of the description. */
  private static String array(Path file, String descr, IntToDoubleFunction value, int... axes)
      throws IOException {
    int count = 1;
    List<String> words = new ArrayList<>();
    for (int axis : axes) {
      count *= axis;
      words.add(String.valueOf(axis));
    }

    String header =
        "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }"
            .formatted(descr, String.join(", ", words));
    header += " ".repeat(64 - (10 + header.length() + 1) % 64) + "\n";
    ByteBuffer bytes =
        ByteBuffer.allocate(10 + header.length() + 4 * count).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put((byte) 0x93).put("NUMPY".getBytes(StandardCharsets.US_ASCII));
    bytes.put((byte) 1).put((byte) 0).putShort((short) header.length());
    bytes.put(header.getBytes(StandardCharsets.US_ASCII));
    boolean floats = descr.equals("<f4");
    for (int i = 0; i < count; i++) {
      int bits =
          floats
              ? Float.floatToRawIntBits((float) value.applyAsDouble(i))
              : (int) value.applyAsDouble(i);
      bytes.putInt(bits);
    }

    Files.write(file, bytes.array());
    return "\"%s\": {\"dtype\": \"%s\", \"shape\": %s}"
        .formatted(file.getFileName(), floats ? "float32" : "int32", words);
  }
}
