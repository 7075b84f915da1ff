package io.expertatlas.runtime.finetune;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.checkpoint.TensorFile;
import io.expertatlas.runtime.checkpoint.TensorFile.Entry;
import io.expertatlas.runtime.train.Parameter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Writes a model as a folder in Hugging Face's layout: F32 weights, {@code config.json}, and the
 * tokenizer's files as they are in the folder that it came from.
 */
final class ModelFolder {
  private static final List<String> COPIED =
      List.of(
          "tokenizer.json",
          "tokenizer_config.json",
          "tokenizer.model",
          "special_tokens_map.json",
          "added_tokens.json",
          "vocab.json",
          "merges.txt",
          "chat_template.jinja",
          "generation_config.json");

  private static final String UNFINISHED = ".unfinished";

  private ModelFolder() {}

  /** Whether a file is one that is written here. */
  static boolean isOwn(String name) {
    return COPIED.contains(name) || name.equals("model.safetensors") || name.equals("config.json");
  }

  /**
   * Writes the files, each aside and renamed; {@code config.json} comes last, so that a folder with
   * it is a whole model.
   */
  static void write(Path source, Path output, List<Parameter> parameters, FileLayer files)
      throws IOException {
    List<Entry> entries =
        parameters.stream().map(one -> new Entry(one.name(), one.shape(), one.value())).toList();
    put(output.resolve("model.safetensors"), out -> TensorFile.write(entries, out), files);
    for (String name : COPIED) {
      Path file = source.resolve(name);
      if (Files.isRegularFile(file)) {
        put(output.resolve(name), out -> Files.copy(file, out), files);
      }
    }

    byte[] config = config(source).getBytes(StandardCharsets.UTF_8);
    put(output.resolve("config.json"), out -> out.write(config), files);
  }

  private static void put(Path file, FileLayer.Content content, FileLayer files)
      throws IOException {
    Path aside = file.resolveSibling(file.getFileName() + UNFINISHED);
    files.write(aside, content);
    files.rename(aside, file);
  }

  private static String config(Path source) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    JsonNode config = mapper.readTree(source.resolve("config.json").toFile());
    for (String key : List.of("dtype", "torch_dtype")) {
      if (config.has(key)) {
        ((ObjectNode) config).put(key, "float32");
      }
    }

    return mapper.writerWithDefaultPrettyPrinter().writeValueAsString(config) + "\n";
  }
}
