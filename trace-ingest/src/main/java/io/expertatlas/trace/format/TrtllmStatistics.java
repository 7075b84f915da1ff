package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.format.TensorFile.Tensor;
import io.expertatlas.trace.input.InputFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A folder of TensorRT-LLM expert statistics: {@code meta_info.json} and safetensors files of each
 * rank, whose tensors are named {@code <iteration>_<layer>}, by the model's layer numbers.
 */
final class TrtllmStatistics implements AutoCloseable {
  static final String NAME = "trtllm";
  static final String META = "meta_info.json";
  static final Pattern COUNTS = Pattern.compile("rank(\\d{1,6})\\.safetensors");
  static final Pattern RAW = Pattern.compile("rank(\\d{1,6})_raw\\.safetensors");

  private static final Pattern TENSOR = Pattern.compile("(\\d{1,18})_(\\d{1,6})");

  private final int experts;
  private final int topK;
  private final int[] layers; // the model's numbers
  private final List<Step> steps;
  private final List<TensorFile> files;

  /** What a rank recorded in an iteration: a tensor for each layer. */
  record Step(long iteration, int rank, TensorFile file, List<Tensor> tensors) {}

  private TrtllmStatistics(
      int experts, int topK, int[] layers, List<Step> steps, List<TensorFile> files) {
    this.experts = experts;
    this.topK = topK;
    this.layers = layers;
    this.steps = List.copyOf(steps);
    this.files = List.copyOf(files);
  }

  /** Whether a folder holds files of a kind. */
  static boolean has(Path folder, Pattern kind) {
    return Files.isRegularFile(meta(folder)) && RankFiles.has(folder, kind);
  }

  /** Whether some of the files are compressed, and so read from their start on. */
  static boolean isCompressed(Path folder, Pattern kind) {
    return Files.isDirectory(folder) && RankFiles.hasCompressed(folder, kind);
  }

  private static Path meta(Path folder) {
    return InputFiles.orCompressed(folder.resolve(META));
  }

  /**
   * Opens the files of a kind.
   *
   * @throws TraceFormatException if they are broken, or an iteration lacks a layer
   */
  static TrtllmStatistics open(Path folder, Pattern kind) {
    Path metaFile = meta(folder);
    if (!Files.isRegularFile(metaFile)) {
      throw new TraceFormatException(
          "Cannot read %s: %s"
              .formatted(folder, Files.exists(folder) ? "it has no " + META : "no such folder"));
    }

    JsonNode meta = Json.readObject(metaFile);
    int experts = (int) Json.whole(meta, "num_experts", 1, 1 << 16, metaFile);
    int topK = (int) Json.whole(meta, "num_experts_per_token", 1, experts, metaFile);
    List<TensorFile> opened = new ArrayList<>();
    try {
      SortedMap<Long, List<Step>> byIteration = new TreeMap<>();
      int[] layers = {};
      for (Map.Entry<Integer, Path> entry : RankFiles.of(folder, kind).entrySet()) {
        TensorFile file = TensorFile.openSafetensors(entry.getValue());
        opened.add(file);
        for (Map.Entry<Long, SortedMap<Integer, Tensor>> step : steps(file).entrySet()) {
          int[] found = step.getValue().keySet().stream().mapToInt(Integer::intValue).toArray();
          layers = layers.length == 0 ? found : layers;
          if (!Arrays.equals(layers, found)) {
            throw new TraceFormatException(
                "Invalid statistics in %s: iteration %d has layers %s, others have %s"
                    .formatted(
                        file.path(),
                        step.getKey(),
                        Arrays.toString(found),
                        Arrays.toString(layers)));
          }

          byIteration
              .computeIfAbsent(step.getKey(), any -> new ArrayList<>())
              .add(
                  new Step(
                      step.getKey(), entry.getKey(), file, List.copyOf(step.getValue().values())));
        }
      }

      if (layers.length == 0) {
        throw new TraceFormatException(
            "Cannot read %s: no iteration stands in its files named %s"
                .formatted(folder, kind.pattern().replace("(\\d{1,6})", "<r>").replace("\\", "")));
      }

      List<Step> steps = byIteration.values().stream().flatMap(List::stream).toList();
      return new TrtllmStatistics(experts, topK, layers, steps, opened);
    } catch (RuntimeException e) {
      Closing.quietly(opened);
      throw e;
    }
  }

  private static SortedMap<Long, SortedMap<Integer, Tensor>> steps(TensorFile file) {
    SortedMap<Long, SortedMap<Integer, Tensor>> steps = new TreeMap<>();
    for (Tensor tensor : file.tensors().values()) {
      Matcher name = TENSOR.matcher(tensor.name());
      if (!name.matches() || tensor.type().floating) {
        throw new TraceFormatException(
            "Invalid tensor %s (%s) in %s: expected integers named <iteration>_<layer>"
                .formatted(tensor.name(), tensor.type(), file.path()));
      }

      steps
          .computeIfAbsent(Long.parseLong(name.group(1)), any -> new TreeMap<>())
          .put(Integer.parseInt(name.group(2)), tensor);
    }

    return steps;
  }

  int experts() {
    return experts;
  }

  int topK() {
    return topK;
  }

  int layers() {
    return layers.length;
  }

  /** By iteration, then by rank. */
  List<Step> steps() {
    return steps;
  }

  @Override
  public void close() {
    Closing.quietly(files);
  }
}
