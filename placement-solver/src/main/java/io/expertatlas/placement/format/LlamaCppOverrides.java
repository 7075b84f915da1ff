package io.expertatlas.placement.format;

import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * llama.cpp's {@code -ot}: {@code regex=buffer} after comma, for tensors {@code
 * blk.<layer>.ffn_{gate,up,down,gate_up}_exps}; the first regex that is found in a name decides. A
 * layer's experts are one tensor, so a layer is on one GPU, whole: a placement that splits layers
 * cannot be written.
 */
final class LlamaCppOverrides implements PlacementFormat {
  private static final List<String> SEPARATE = List.of("gate", "up", "down");
  private static final List<String> FUSED = List.of("gate_up", "down");
  private static final Pattern GPU = Pattern.compile("(?:CUDA|ROCm|MUSA|SYCL|Vulkan)(\\d{1,5})");

  @Override
  public String name() {
    return "llama-cpp";
  }

  @Override
  public String fileName() {
    return "llama-cpp.txt";
  }

  @Override
  public String loading() {
    return "-ot \"$(cat %s)\"".formatted(fileName());
  }

  @Override
  public void check(int experts, int slots, Topology topology) {
    if (slots > experts) {
      throw noCopies("here are %d slots for %d experts".formatted(slots, experts));
    }

    if (Math.min(experts, topology.gpus()) > 1) {
      throw new PlacementFormatException(
          "Cannot export %s: it keeps all experts of a layer on one GPU, and a placement of %d experts on %d GPUs splits them"
              .formatted(name(), experts, topology.gpus()));
    }
  }

  private PlacementFormatException noCopies(String what) {
    return new PlacementFormatException(
        "Cannot export %s: it has every expert once, and %s".formatted(name(), what));
  }

  @Override
  public byte[] bytes(Placement placement, LayerRows layers, Popularity popularity) {
    List<List<String>> layersOf = new ArrayList<>(); // [gpu], model layers
    for (int gpu = 0; gpu < placement.topology().gpus(); gpu++) {
      layersOf.add(new ArrayList<>());
    }

    for (int layer = 0; layer < placement.layers(); layer++) {
      if (placement.hasCopies(layer)) {
        throw noCopies("layer %d has copies of experts".formatted(layer));
      }

      int gpu = placement.gpu(layer, 0);
      for (int expert = 1; expert < placement.experts(); expert++) {
        if (placement.gpu(layer, expert) != gpu) {
          throw new PlacementFormatException(
              "Cannot export %s: it keeps all experts of a layer on one GPU, and layer %d has expert 0 on GPU %d, expert %d on GPU %d"
                  .formatted(name(), layer, gpu, expert, placement.gpu(layer, expert)));
        }
      }

      layersOf.get(gpu).add(Integer.toString(layers.modelLayer(layer)));
    }

    List<String> overrides = new ArrayList<>();
    for (int gpu = 0; gpu < layersOf.size(); gpu++) {
      if (!layersOf.get(gpu).isEmpty()) {
        overrides.add(
            "blk\\.(%s)\\.ffn_.*_exps=CUDA%d".formatted(String.join("|", layersOf.get(gpu)), gpu));
      }
    }

    return (String.join(",", overrides) + "\n").getBytes(StandardCharsets.US_ASCII);
  }

  private record Rule(Pattern tensors, String buffer) {}

  @Override
  public Placement read(Path file, LayerRows layers, int experts, Topology topology)
      throws IOException {
    List<Rule> overrides = parse(file, JsonFile.text(file));
    int[][] gpu = new int[layers.layers()][experts];
    for (int layer = 0; layer < gpu.length; layer++) {
      int modelLayer = layers.modelLayer(layer);
      Arrays.fill(gpu[layer], gpu(file, buffer(file, overrides, modelLayer), modelLayer, topology));
    }

    return new Placement(topology, gpu);
  }

  private static List<Rule> parse(Path file, String text) {
    List<Rule> overrides = new ArrayList<>();
    String[] lines = text.strip().split("\r?\n");
    if (lines.length != 1) {
      throw problem(file, "%d lines, expected one".formatted(lines.length));
    }

    for (String part : lines[0].split(",", -1)) {
      int equals = part.indexOf('=');
      if (equals < 1 || equals == part.length() - 1) {
        throw problem(file, "'%s', expected a regular expression, = and a buffer".formatted(part));
      }

      try {
        overrides.add(
            new Rule(Pattern.compile(part.substring(0, equals)), part.substring(equals + 1)));
      } catch (PatternSyntaxException e) {
        throw problem(
            file,
            "'%s' is no regular expression: %s"
                .formatted(part.substring(0, equals), e.getDescription()));
      }
    }

    return overrides;
  }

  /** The buffer of a layer: of its gate, up and down tensors, or of the fused gate_up and down. */
  private static String buffer(Path file, List<Rule> overrides, int modelLayer) {
    boolean fused =
        find(overrides, name(modelLayer, "gate")).isEmpty()
            && find(overrides, name(modelLayer, "up")).isEmpty()
            && find(overrides, name(modelLayer, "gate_up")).isPresent();
    String buffer = "";
    for (String part : fused ? FUSED : SEPARATE) {
      String tensor = name(modelLayer, part);
      String found =
          find(overrides, tensor)
              .orElseThrow(
                  () -> problem(file, "no regular expression is found in %s".formatted(tensor)));
      if (!buffer.isEmpty() && !buffer.equals(found)) {
        throw problem(
            file,
            "layer %d is split: %s goes to %s, others to %s"
                .formatted(modelLayer, tensor, found, buffer));
      }

      buffer = found;
    }

    return buffer;
  }

  private static String name(int modelLayer, String part) {
    return "blk.%d.ffn_%s_exps.weight".formatted(modelLayer, part);
  }

  private static Optional<String> find(List<Rule> overrides, String tensor) {
    return overrides.stream()
        .filter(override -> override.tensors().matcher(tensor).find())
        .map(Rule::buffer)
        .findFirst();
  }

  private static int gpu(Path file, String buffer, int modelLayer, Topology topology) {
    Matcher matcher = GPU.matcher(buffer);
    if (!matcher.matches() || Integer.parseInt(matcher.group(1)) >= topology.gpus()) {
      throw problem(
          file,
          "layer %d goes to %s, expected one of %d GPUs: CUDA0 to CUDA%d"
              .formatted(modelLayer, buffer, topology.gpus(), topology.gpus() - 1));
    }

    return Integer.parseInt(matcher.group(1));
  }

  private static PlacementFormatException problem(Path file, String what) {
    return new PlacementFormatException("Cannot read %s:1: %s".formatted(file, what));
  }
}
