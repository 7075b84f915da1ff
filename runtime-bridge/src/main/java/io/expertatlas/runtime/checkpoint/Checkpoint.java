package io.expertatlas.runtime.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.runtime.CheckpointException;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * A folder in Hugging Face's layout: {@code config.json}, and {@code model.safetensors} or the
 * files that {@code model.safetensors.index.json} names.
 */
public final class Checkpoint implements WeightSource {
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final int NAMED = 5;

  private final Path folder;
  private final ModelConfig config;
  private final Map<String, StoredTensor> tensors;

  private Checkpoint(Path folder, ModelConfig config, Map<String, StoredTensor> tensors) {
    this.folder = folder;
    this.config = config;
    this.tensors = tensors;
  }

  /**
   * Reads the description of a checkpoint, not its weights.
   *
   * @throws CheckpointException if a file is missing or broken
   * @throws IOException if a file cannot be read
   */
  public static Checkpoint open(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new CheckpointException(
          "Cannot read checkpoint %s: %s"
              .formatted(folder, Files.exists(folder) ? "not a folder" : "no such folder"));
    }

    ModelConfig config = ModelConfigParser.read(folder.resolve("config.json"));
    Path index = folder.resolve(INDEX);
    Path single = folder.resolve(SINGLE);
    if (Files.exists(index)) {
      return new Checkpoint(folder, config, indexed(folder, index));
    }

    if (!Files.exists(single)) {
      throw new CheckpointException(
          "Cannot read checkpoint %s: it has neither %s nor %s".formatted(folder, SINGLE, INDEX));
    }

    return new Checkpoint(folder, config, SafetensorsFile.read(single));
  }

  private static Map<String, StoredTensor> indexed(Path folder, Path index) throws IOException {
    Map<String, String> fileOf = new TreeMap<>();
    try {
      JsonNode map = new ObjectMapper().readTree(index.toFile()).path("weight_map");
      if (!map.isObject() || map.isEmpty()) {
        throw new CheckpointException("Invalid %s: it has no weight_map".formatted(index));
      }

      for (Map.Entry<String, JsonNode> entry : map.properties()) {
        String file = entry.getValue().asText();
        if (!entry.getValue().isTextual() || !Path.of(file).equals(Path.of(file).getFileName())) {
          throw new CheckpointException(
              "Invalid %s: %s is said to be in %s"
                  .formatted(index, entry.getKey(), entry.getValue()));
        }

        fileOf.put(entry.getKey(), file);
      }
    } catch (JsonProcessingException e) {
      throw new CheckpointException(
          "Invalid JSON in %s: %s".formatted(index, e.getOriginalMessage()), e);
    }

    Map<String, StoredTensor> tensors = new TreeMap<>();
    for (String file : new TreeSet<>(fileOf.values())) {
      Path path = folder.resolve(file);
      if (!Files.exists(path)) {
        throw new CheckpointException("Missing file %s: %s names it".formatted(path, index));
      }

      for (StoredTensor tensor : SafetensorsFile.read(path).values()) {
        if (!file.equals(fileOf.get(tensor.name()))) {
          throw new CheckpointException(
              "Invalid %s: tensor %s is in %s, expected in %s"
                  .formatted(
                      index, tensor.name(), path, fileOf.getOrDefault(tensor.name(), "no file")));
        }

        tensors.put(tensor.name(), tensor);
      }
    }

    List<String> missing =
        fileOf.keySet().stream().filter(name -> !tensors.containsKey(name)).toList();
    if (!missing.isEmpty()) {
      throw new CheckpointException("Missing tensors in %s: %s".formatted(folder, some(missing)));
    }

    return tensors;
  }

  /** What the model is. */
  public ModelConfig config() {
    return config;
  }

  /**
   * Checks that the tensors are those of the model, all problems at once.
   *
   * @param required shape of each tensor by name
   * @param optional names that may be there besides: copies of tied tensors
   * @throws CheckpointException naming what is missing, misshapen or extra
   */
  public void check(Map<String, List<Long>> required, Set<String> optional) {
    List<String> missing = new ArrayList<>();
    List<String> misshapen = new ArrayList<>();
    required.forEach(
        (name, shape) -> {
          StoredTensor found = tensors.get(name);
          if (found == null) {
            missing.add(name);
          } else if (!found.shape().equals(shape)) {
            misshapen.add("%s %s, expected %s".formatted(name, found.shape(), shape));
          }
        });
    List<String> extra =
        tensors.keySet().stream()
            .filter(name -> !required.containsKey(name) && !optional.contains(name))
            .toList();
    List<String> problems = new ArrayList<>();
    problem(problems, "missing", missing);
    problem(problems, "misshapen", misshapen);
    problem(problems, "unknown", extra);
    if (!problems.isEmpty()) {
      throw new CheckpointException(
          "Invalid checkpoint %s for %s: %s"
              .formatted(folder, config.architecture(), String.join("; ", problems)));
    }
  }

  private static void problem(List<String> problems, String what, List<String> names) {
    if (!names.isEmpty()) {
      problems.add("%d %s: %s".formatted(names.size(), what, some(names)));
    }
  }

  private static String some(List<String> names) {
    String shown = String.join(", ", names.subList(0, Math.min(NAMED, names.size())));
    return names.size() > NAMED ? shown + ", ..." : shown;
  }

  @Override
  public TensorData tensor(String name, long... shape) {
    StoredTensor found = tensors.get(name);
    List<Long> expected = Arrays.stream(shape).boxed().toList();
    if (found == null || !found.shape().equals(expected)) {
      throw new CheckpointException(
          "%s tensor %s in %s: %s, expected %s"
              .formatted(
                  found == null ? "Missing" : "Misshapen",
                  name,
                  folder,
                  found == null ? "none" : found.shape(),
                  expected));
    }

    return found;
  }
}
