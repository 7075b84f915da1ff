package io.expertatlas.runtime.finetune;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.checkpoint.TensorFile;
import io.expertatlas.runtime.checkpoint.TensorFile.Entry;
import io.expertatlas.runtime.train.Parameter;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The checkpoints of a training inside its output folder: {@code checkpoint-000100} after 100
 * steps, {@code training.json} and {@code state.safetensors} with value, mean and variance of each
 * parameter. A checkpoint is written under another name and renamed when it is whole, then older
 * ones are deleted; so whenever the process dies, the newest one found is whole.
 */
final class CheckpointFolder {
  private static final int FORMAT_VERSION = 1;
  private static final Pattern NAME = Pattern.compile("checkpoint-(\\d{6,9})");
  private static final String UNFINISHED = ".unfinished";
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private final Path folder;
  private final FileLayer files;
  private final Map<String, String> identity;

  /**
   * Checkpoints in a folder.
   *
   * @param identity what a checkpoint must agree with to be resumed: settings, digests
   */
  CheckpointFolder(Path folder, FileLayer files, Map<String, String> identity) {
    this.folder = folder;
    this.files = files;
    this.identity = identity;
  }

  /** Deletes what a killed process left: unfinished files, older checkpoints. */
  void clean() throws IOException {
    for (Path path : paths()) {
      if (path.getFileName().toString().endsWith(UNFINISHED)) {
        delete(path);
      }
    }

    deleteOlder(newest());
  }

  private List<Path> paths() throws IOException {
    try (Stream<Path> inside = Files.list(folder)) {
      return inside.sorted().toList();
    }
  }

  /** Writes a checkpoint and deletes older ones. */
  void write(TrainingState state, List<Parameter> parameters) throws IOException {
    Path target = folder.resolve("checkpoint-%06d".formatted(state.step()));
    if (Files.exists(target)) {
      return; // of the step that was resumed from
    }

    Path aside = folder.resolve(target.getFileName() + UNFINISHED);
    files.createFolder(aside);
    List<Entry> entries = new ArrayList<>();
    for (Parameter one : parameters) {
      entries.add(new Entry("value/" + one.name(), one.shape(), one.value()));
      entries.add(new Entry("mean/" + one.name(), one.shape(), FloatBuffer.wrap(one.mean())));
      entries.add(
          new Entry("variance/" + one.name(), one.shape(), FloatBuffer.wrap(one.variance())));
    }

    files.write(aside.resolve("state.safetensors"), out -> TensorFile.write(entries, out));
    byte[] json = toJson(state).toString().getBytes(StandardCharsets.UTF_8);
    files.write(aside.resolve("training.json"), out -> out.write(json));
    files.rename(aside, target);
    deleteOlder(target);
  }

  private void deleteOlder(Path newest) throws IOException {
    for (Path path : paths()) {
      if (step(path) > 0 && !path.equals(newest)) {
        // renamed first: a checkpoint that is half deleted must not be found
        Path old = folder.resolve(path.getFileName() + UNFINISHED);
        files.rename(path, old);
        delete(old);
      }
    }
  }

  /** The step of a checkpoint; 0 of other paths. */
  private static int step(Path path) {
    Matcher name = NAME.matcher(path.getFileName().toString());
    return name.matches() ? Integer.parseInt(name.group(1)) : 0;
  }

  /** The newest checkpoint, or the folder itself if there is none. */
  private Path newest() throws IOException {
    Path newest = folder;
    for (Path path : paths()) {
      if (step(path) > step(newest)) {
        newest = path;
      }
    }

    return newest;
  }

  private void delete(Path path) throws IOException {
    if (Files.isDirectory(path)) {
      List<Path> inside;
      try (Stream<Path> list = Files.list(path)) {
        inside = list.sorted().toList();
      }

      for (Path file : inside) {
        files.delete(file);
      }
    }

    files.delete(path);
  }

  /**
   * Reads the newest checkpoint into the parameters; without one they stay, and the state is that
   * before the first step.
   *
   * @throws TrainingException if it is of another training, with what differs
   * @throws io.expertatlas.runtime.CheckpointException if it is broken
   */
  TrainingState resume(List<Parameter> parameters) throws IOException {
    Path newest = newest();
    if (newest.equals(folder)) {
      return new TrainingState(List.of(), Double.NaN);
    }

    TrainingState state = fromJson(newest.resolve("training.json"), step(newest));
    WeightSource source = TensorFile.open(newest.resolve("state.safetensors"));
    parameters.forEach(parameter -> parameter.restore(source));
    return state;
  }

  private ObjectNode toJson(TrainingState state) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", FORMAT_VERSION);
    ObjectNode training = root.putObject("training");
    identity.forEach(training::put);
    root.put("held-out-loss-before", state.heldOutBefore());
    ArrayNode curve = root.putArray("curve");
    for (TrainingState.Point point : state.curve()) {
      curve.addArray().add(point.loss()).add(point.rate()).add(point.gradientNorm());
    }

    return root;
  }

  private TrainingState fromJson(Path file, int step) throws IOException {
    JsonNode root;
    try {
      root = MAPPER.readTree(file.toFile());
    } catch (JsonProcessingException e) {
      throw new TrainingException(
          "Cannot resume from %s: invalid JSON, %s".formatted(file, e.getOriginalMessage()));
    }

    if (root.path("format-version").asInt() != FORMAT_VERSION) {
      throw new TrainingException(
          "Cannot resume from %s: format-version %s, expected %d"
              .formatted(file, root.path("format-version"), FORMAT_VERSION));
    }

    for (Map.Entry<String, String> entry : identity.entrySet()) {
      String found = root.path("training").path(entry.getKey()).asText("missing");
      if (!found.equals(entry.getValue())) {
        throw new TrainingException(
            "Cannot resume from %s: its %s is %s, asked for is %s"
                .formatted(file.getParent(), entry.getKey(), found, entry.getValue()));
      }
    }

    List<TrainingState.Point> curve = new ArrayList<>();
    for (JsonNode point : root.path("curve")) {
      curve.add(
          new TrainingState.Point(
              point.path(0).asDouble(), point.path(1).asDouble(), point.path(2).asDouble()));
    }

    if (curve.size() != step) {
      throw new TrainingException(
          "Cannot resume from %s: its curve has %d steps, its name says %d"
              .formatted(file.getParent(), curve.size(), step));
    }

    return new TrainingState(curve, root.path("held-out-loss-before").asDouble());
  }
}
