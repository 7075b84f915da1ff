package io.expertatlas.runtime.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Prompts as JSON Lines: on each line a text, or an object with the key {@code prompt}. */
public final class PromptFile {
  private PromptFile() {}

  /**
   * Reads the prompts in order; blank lines are skipped.
   *
   * @throws IOException if the file cannot be read or a line is neither, with the line
   */
  public static List<String> read(Path file) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    List<String> prompts = new ArrayList<>();
    try (BufferedReader reader = Files.newBufferedReader(file)) {
      int number = 0;
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        number++;
        if (line.isBlank()) {
          continue;
        }

        JsonNode node = parse(mapper, file, number, line);
        JsonNode prompt = node.isObject() ? node.path("prompt") : node;
        if (!prompt.isTextual()) {
          throw new IOException(
              "Invalid prompt in %s:%d: expected a text or {\"prompt\": text}"
                  .formatted(file, number));
        }

        prompts.add(prompt.asText());
      }
    }

    return prompts;
  }

  private static JsonNode parse(ObjectMapper mapper, Path file, int number, String line)
      throws IOException {
    try {
      return mapper.readTree(line);
    } catch (JsonProcessingException e) {
      throw new IOException(
          "Invalid JSON in %s:%d: %s".formatted(file, number, e.getOriginalMessage()), e);
    }
  }
}
