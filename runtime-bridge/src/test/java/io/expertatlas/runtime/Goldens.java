package io.expertatlas.runtime;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Golden outputs of a model in {@code data/}: prompts, greedy tokens, logits at one place.
 *
 * @param prompts input ids
 * @param greedy tokens that follow
 * @param logits {@code [prompt][V]}
 */
public record Goldens(List<int[]> prompts, List<int[]> greedy, float[][] logits) {
  /** The folder {@code data/} of the project. */
  public static Path data() {
    return Path.of(System.getProperty("expertatlas.root", ".."), "data");
  }

  /** Reads {@code data/golden/NAME.json} and the array that it names. */
  public static Goldens read(String name) {
    return read(data().resolve("golden").resolve(name + ".json"));
  }

  /** Reads a file and the array beside it that it names. */
  public static Goldens read(Path file) {
    try {
      JsonNode root = new ObjectMapper().readTree(file.toFile());
      List<int[]> prompts = new ArrayList<>();
      List<int[]> greedy = new ArrayList<>();
      for (JsonNode prompt : root.get("prompts")) {
        prompts.add(ints(prompt.get("ids")));
        greedy.add(ints(prompt.get("greedy")));
      }

      return new Goldens(
          prompts, greedy, array(file.resolveSibling(root.get("logits").asText()), prompts.size()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int[] ints(JsonNode list) {
    int[] values = new int[list.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = list.get(i).asInt();
    }

    return values;
  }

  /** The floats behind the header of a version 1 .npy file. */
  private static float[][] array(Path file, int rows) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.position(10 + bytes.getShort(8));
    FloatBuffer floats = bytes.slice().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    float[][] array = new float[rows][floats.capacity() / rows];
    for (float[] row : array) {
      floats.get(row);
    }

    return array;
  }
}
