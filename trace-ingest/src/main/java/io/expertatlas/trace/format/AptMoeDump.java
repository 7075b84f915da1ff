package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import io.expertatlas.trace.torch.TorchFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The prompts of an APTMoE recording, whose shapes have been compared.
 *
 * @param shape of the model
 * @param hiddenSize length of a hidden state; 0: there are none, or they are not wanted
 * @param mask whether gate results are masks of 0 and 1
 * @param prompts in the order of their ids
 */
record AptMoeDump(ModelShape shape, int hiddenSize, boolean mask, List<Prompt> prompts) {
  /** What to do with a token whose mask names fewer than top-k experts in a layer. */
  enum Incomplete {
    REFUSE,
    SKIP
  }

  static final FormatOption<Integer> TOP_K =
      FormatOption.integer("top-k", 1, "Experts that a token visits in each layer.");
  static final FormatOption<Incomplete> INCOMPLETE =
      FormatOption.choice(
          "incomplete",
          Incomplete.class,
          "What to do with tokens that a mask gives fewer experts: refuse (the default) or skip.");
  static final List<FormatOption<?>> OPTIONS = List.of(TOP_K, INCOMPLETE);

  private static final Pattern GATES = Pattern.compile("gate_results\\.(\\d{1,9})\\.pth");
  private static final Pattern HIDDEN = Pattern.compile("hidden_inputs\\.(\\d{1,9})\\.pth");

  /**
   * One prompt.
   *
   * @param id its number, which becomes its sequence id
   * @param hidden its hidden states, if wanted
   * @param tokens indices of its tokens that are kept
   */
  record Prompt(int id, Path gates, Optional<Path> hidden, int[] tokens) {}

  static boolean recognizes(Path path) {
    if (Files.isDirectory(path)) {
      return !find(path, GATES).isEmpty();
    }

    return Files.isRegularFile(path) && GATES.matcher(InputFiles.plainName(path)).matches();
  }

  static boolean isCompressed(Path path) {
    return Files.isDirectory(path)
        ? find(path, GATES).values().stream().anyMatch(InputFiles::isCompressed)
        : InputFiles.isCompressed(path);
  }

  private static Map<Integer, Path> find(Path folder, Pattern pattern) {
    Map<Integer, Path> found = new TreeMap<>();
    try (Stream<Path> children = Files.list(folder)) {
      for (Path child : children.sorted().toList()) {
        Matcher matcher = pattern.matcher(InputFiles.plainName(child));
        if (matcher.matches()) {
          Path before = found.put(Integer.parseInt(matcher.group(1)), child);
          if (before != null) {
            throw new TraceFormatException(
                "Cannot read APTMoE folder %s: %s and %s are of one prompt"
                    .formatted(folder, before.getFileName(), child.getFileName()));
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot list %s: %s".formatted(folder, e.getMessage()), e);
    }

    return found;
  }

  /**
   * Looks through the files.
   *
   * @param withHidden whether hidden states are wanted
   */
  static AptMoeDump open(TraceSource source, boolean withHidden) {
    if (source.sequences().isPresent() || source.positions().isPresent()) {
      throw new TraceFormatException(
          "Cannot use --sequence-file or --position-file with APTMoE files %s: a prompt is a sequence"
              .formatted(source.path()));
    }

    int topK = source.options().require(TOP_K, source.path());
    Incomplete incomplete = source.options().find(INCOMPLETE).orElse(Incomplete.REFUSE);
    Map<Integer, Path> gates = gates(source.path());
    Map<Integer, Path> hidden =
        withHidden && Files.isDirectory(source.path()) ? find(source.path(), HIDDEN) : Map.of();
    checkPairs(source.path(), gates, hidden);

    List<Prompt> prompts = new ArrayList<>();
    ModelShape shape = null;
    int hiddenSize = 0;
    boolean mask = false;
    for (Map.Entry<Integer, Path> entry : gates.entrySet()) {
      int[] kept;
      try (TorchFile file = TorchFile.open(entry.getValue())) {
        AptMoeArray array = AptMoeArray.of(file);
        ModelShape own = shape(source, entry.getValue(), array, topK);
        if (shape == null) {
          shape = own;
          mask = array.isMask();
        }

        checkSame(source, shape, own, entry.getValue());
        kept = kept(array, mask && incomplete == Incomplete.SKIP, topK);
      }

      Optional<Path> hiddenPath = Optional.ofNullable(hidden.get(entry.getKey()));
      if (hiddenPath.isPresent()) {
        int size = hiddenSize(hiddenPath.get(), shape, entry.getValue());
        if (hiddenSize != 0 && size != hiddenSize) {
          throw new TraceFormatException(
              "Invalid hidden size in %s: %d, in the prompts before %d"
                  .formatted(hiddenPath.get(), size, hiddenSize));
        }

        hiddenSize = size;
      }

      prompts.add(new Prompt(entry.getKey(), entry.getValue(), hiddenPath, kept));
    }

    return new AptMoeDump(shape, hiddenSize, mask, List.copyOf(prompts));
  }

  private static Map<Integer, Path> gates(Path path) {
    if (!Files.isDirectory(path)) {
      Matcher matcher = GATES.matcher(InputFiles.plainName(path));
      return Map.of(matcher.matches() ? Integer.parseInt(matcher.group(1)) : 0, path);
    }

    Map<Integer, Path> gates = find(path, GATES);
    if (gates.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read APTMoE folder %s: it has no file gate_results.ID.pth".formatted(path));
    }

    return gates;
  }

  private static void checkPairs(Path path, Map<Integer, Path> gates, Map<Integer, Path> hidden) {
    for (int id : hidden.isEmpty() ? hidden.keySet() : gates.keySet()) {
      if (!hidden.containsKey(id)) {
        throw new TraceFormatException(
            "Missing hidden_inputs.%d.pth in %s: %d of %d prompts have hidden states"
                .formatted(id, path, hidden.size(), gates.size()));
      }
    }
  }

  private static ModelShape shape(TraceSource source, Path file, AptMoeArray array, int topK) {
    int experts = array.width();
    if (source.experts().orElse(experts) != experts) {
      throw new TraceFormatException(
          "Invalid number of experts: %d by --experts, %d by %s"
              .formatted(source.experts().getAsInt(), experts, file));
    }

    if (topK > experts || experts > ModelShape.MAX_EXPERTS) {
      throw new TraceFormatException(
          "Invalid top-k for %s: %d, 1 to its %d experts, of which %d are the most"
              .formatted(file, topK, experts, ModelShape.MAX_EXPERTS));
    }

    return new ModelShape(array.layers(), experts, topK);
  }

  private static void checkSame(TraceSource source, ModelShape shape, ModelShape own, Path file) {
    if (!shape.equals(own)) {
      throw new TraceFormatException(
          "Cannot read the prompts of %s together: %s is of %s, those before of %s"
              .formatted(source.path(), file.getFileName(), own, shape));
    }
  }

  private static int hiddenSize(Path file, ModelShape shape, Path gates) {
    try (TorchFile torch = TorchFile.open(file);
        TorchFile other = TorchFile.open(gates)) {
      AptMoeArray array = AptMoeArray.of(torch);
      int tokens = AptMoeArray.of(other).tokens();
      if (array.layers() != shape.layers() || array.tokens() != tokens) {
        throw new TraceFormatException(
            "Invalid shape of %s: %d layers x %d tokens, %s has %d x %d"
                .formatted(
                    file,
                    array.layers(),
                    array.tokens(),
                    gates.getFileName(),
                    shape.layers(),
                    tokens));
      }

      return array.width();
    }
  }

  private static int[] kept(AptMoeArray array, boolean skip, int topK) {
    IntStream all = IntStream.range(0, array.tokens());
    return skip ? all.filter(token -> array.isComplete(token, topK)).toArray() : all.toArray();
  }
}
