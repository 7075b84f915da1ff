package io.expertatlas.predictor.json;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.WeightTensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The gates of a checkpoint's MoE layers: the router's linear map of each, found by the names that
 * Hugging Face's models have (Mixtral, Qwen, DeepSeek, OLMoE, gpt-oss, Phi, NLLB-MoE, ...).
 *
 * @param weights {@code [layer]} of {@code [expert][hidden]}
 * @param biases {@code [layer]} of {@code [expert]}, or of nothing
 */
@SuppressWarnings("ArrayRecordComponent") // weights, handed over once
public record GateWeights(float[][] weights, float[][] biases) {
  private static final Pattern NAME =
      Pattern.compile(
          "(.*?)layers\\.(\\d{1,6})\\.(?:block_sparse_moe\\.gate|block_sparse_moe\\.router\\.layer"
              + "|mlp\\.gate|mlp\\.router|ffn\\.router\\.classifier|feed_forward\\.router)\\.weight");

  /**
   * Reads the gates of a model's layers.
   *
   * @param checkpoint a folder with safetensors files, or one such file
   * @param prefix of the tensors' names, such as {@code model.encoder.}; empty: told by the name of
   *     the model's stack if there are several
   * @throws PredictorFormatException if there are not as many gates as layers, of the model's shape
   */
  public static GateWeights read(Path checkpoint, String prefix, PredictedModel model)
      throws IOException {
    Map<String, TreeMap<Integer, SafetensorsFile>> stacks = new TreeMap<>();
    for (Path file : files(checkpoint)) {
      SafetensorsFile tensors = SafetensorsFile.open(file);
      for (String name : tensors.entries().keySet()) {
        Matcher matcher = NAME.matcher(name);
        if (matcher.matches() && matcher.group(1).startsWith(prefix)) {
          stacks
              .computeIfAbsent(matcher.group(1), key -> new TreeMap<>())
              .put(Integer.parseInt(matcher.group(2)), tensors);
        }
      }
    }

    if (stacks.isEmpty()) {
      throw new PredictorFormatException(
          "Cannot find gates in %s: no tensor is named like a router's weight%s"
              .formatted(checkpoint, prefix.isEmpty() ? "" : " and begins with " + prefix));
    }

    return read(checkpoint, stacks, model);
  }

  private static List<Path> files(Path checkpoint) throws IOException {
    if (!Files.isDirectory(checkpoint)) {
      return List.of(checkpoint);
    }

    try (Stream<Path> files = Files.list(checkpoint)) {
      List<Path> found =
          files.filter(file -> file.toString().endsWith(".safetensors")).sorted().toList();
      if (found.isEmpty()) {
        throw new PredictorFormatException(
            "Cannot find gates in %s: it holds no safetensors file".formatted(checkpoint));
      }

      return found;
    }
  }

  private static GateWeights read(
      Path checkpoint, Map<String, TreeMap<Integer, SafetensorsFile>> stacks, PredictedModel model)
      throws IOException {
    String stack = stack(checkpoint, stacks, model);
    int layers = model.shape().layers();
    TreeMap<Integer, SafetensorsFile> found = stacks.get(stack);
    if (found.size() != layers) {
      throw new PredictorFormatException(
          "Cannot use the gates of %s: it has %d below '%s', the trace has %d MoE layers"
              .formatted(checkpoint, found.size(), stack, layers));
    }

    List<float[]> weights = new ArrayList<>();
    List<float[]> biases = new ArrayList<>();
    List<Integer> expected = List.of(model.shape().experts(), model.hiddenSize());
    for (Map.Entry<Integer, SafetensorsFile> layer : found.entrySet()) {
      String name =
          layer.getValue().entries().keySet().stream()
              .filter(candidate -> isGate(candidate, stack, layer.getKey()))
              .findFirst()
              .orElseThrow();
      WeightTensor weight = layer.getValue().read(name);
      if (!weight.shape().equals(expected)) {
        throw new PredictorFormatException(
            "Cannot use gate %s of %s: its shape is %s, the trace's experts and hidden size %s"
                .formatted(name, layer.getValue().path(), weight.shape(), expected));
      }

      weights.add(weight.values());
      String bias = name.substring(0, name.length() - "weight".length()) + "bias";
      biases.add(
          layer.getValue().entries().containsKey(bias)
              ? layer.getValue().read(bias).values()
              : new float[0]);
    }

    return new GateWeights(weights.toArray(float[][]::new), biases.toArray(float[][]::new));
  }

  private static boolean isGate(String name, String stack, int layer) {
    Matcher matcher = NAME.matcher(name);
    return matcher.matches()
        && matcher.group(1).equals(stack)
        && Integer.parseInt(matcher.group(2)) == layer;
  }

  private static String stack(
      Path checkpoint,
      Map<String, TreeMap<Integer, SafetensorsFile>> stacks,
      PredictedModel model) {
    if (stacks.size() == 1) {
      return stacks.keySet().iterator().next();
    }

    String[] words = model.name().split(" ");
    String last = words[words.length - 1];
    Optional<String> named =
        stacks.keySet().stream()
            .filter(stack -> !last.isEmpty() && stack.endsWith(last + "."))
            .findFirst();
    return named.orElseThrow(
        () ->
            new PredictorFormatException(
                "Cannot tell which gates of %s are the trace's: there are %s. Maybe choose with --gate-prefix"
                    .formatted(checkpoint, stacks.keySet())));
  }
}
