package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.format.JsonDocuments.Place;
import io.expertatlas.trace.format.MegatronTrace.Stack;
import io.expertatlas.trace.input.InputFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * Where the lines of a Megatron router trace are, by step. Found by reading all of it once; memory
 * grows with the number of lines, not with the tokens in them.
 */
final class MegatronIndex {
  private static final Pattern FILE = Pattern.compile("router_trace_rank(\\d{1,6})\\.jsonl");
  private static final Pattern SIDECAR =
      Pattern.compile("(?:hidden_states|logits)_rank(\\d{1,6})\\.bin");

  private final Path path;
  private final Stack stack;
  private final List<Step> steps = new ArrayList<>();
  private int[] layers = {};
  private int topK;
  private int hiddenSize; // 0: no line has hidden states
  private int logits; // likewise
  private Optional<Line> first = Optional.empty();

  /** A run of bytes in a file; 0 bytes: there is none. */
  record Sidecar(Path file, long offset, long bytes, int width) {
    boolean isPresent() {
      return width > 0;
    }
  }

  /** A line: the tokens of a step in a layer. */
  record Line(Place place, long step, int layer, int tokens, Sidecar hidden, Sidecar logits) {}

  /** The lines of a micro-batch on a rank, by layer. */
  record Step(long number, int rank, List<Line> lines) {
    int tokens() {
      return lines.get(0).tokens();
    }
  }

  private MegatronIndex(Path path, Stack stack) {
    this.path = path;
    this.stack = stack;
  }

  /** The rank's files of a folder. */
  static SortedMap<Integer, Path> files(Path folder) {
    return RankFiles.of(folder, FILE);
  }

  /** Whether a folder has such files. */
  static boolean isTraceFolder(Path folder) {
    return RankFiles.has(folder, FILE);
  }

  /** Whether some of what is read is compressed, and so read from its start on. */
  static boolean isCompressed(Path path) {
    Path folder = Files.isDirectory(path) ? path : path.toAbsolutePath().getParent();
    return InputFiles.isCompressed(path)
        || Files.isDirectory(path) && RankFiles.hasCompressed(path, FILE)
        || RankFiles.hasCompressed(folder, SIDECAR);
  }

  /** Whether a file is named as the recorder names it. */
  static boolean isTrace(Path file) {
    return Files.isRegularFile(file) && RankFiles.number(file, FILE).isPresent();
  }

  /** Reads the trace of all ranks, or of some. */
  static MegatronIndex of(Path path, Stack stack, Optional<int[]> ranks) {
    SortedMap<Integer, Path> files;
    if (Files.isDirectory(path)) {
      files = files(path);
    } else {
      files = new TreeMap<>(Map.of(RankFiles.number(path, FILE).orElse(0), path));
    }

    for (int rank : ranks.orElse(new int[0])) {
      if (!files.containsKey(rank)) {
        throw new TraceFormatException(
            "Invalid ranks for %s: %d, it has %s".formatted(path, rank, files.keySet()));
      }
    }

    ranks.ifPresent(some -> files.keySet().removeIf(rank -> Arrays.binarySearch(some, rank) < 0));
    MegatronIndex index = new MegatronIndex(path, stack);
    files.forEach(index::readRank);
    if (index.steps.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read routes from %s: no line is of block %s. Maybe choose with --format-option block=..."
              .formatted(path, word(stack)));
    }

    return index;
  }

  private static String word(Stack stack) {
    return stack.name().toLowerCase(Locale.ROOT);
  }

  private void readRank(int rank, Path file) {
    Path folder = file.toAbsolutePath().getParent();
    Path hidden =
        InputFiles.orCompressed(folder.resolve("hidden_states_rank%d.bin".formatted(rank)));
    Path logit = InputFiles.orCompressed(folder.resolve("logits_rank%d.bin".formatted(rank)));
    SortedMap<Integer, Line> batch = new TreeMap<>();
    new JsonDocuments(file)
        .forEach(
            (place, document) -> {
              Optional<Line> line = parse(hidden, logit, place, document);
              if (line.isEmpty()) {
                return;
              }

              boolean next =
                  !batch.isEmpty()
                      && (batch.containsKey(line.get().layer())
                          || batch.get(batch.firstKey()).step() != line.get().step());
              if (next) {
                finish(rank, batch);
              }

              batch.put(line.get().layer(), line.get());
            });
    if (!batch.isEmpty()) {
      finish(rank, batch);
    }
  }

  /** Takes the lines of a micro-batch, which are complete. */
  private void finish(int rank, SortedMap<Integer, Line> batch) {
    List<Line> lines = List.copyOf(batch.values());
    int[] found = batch.keySet().stream().mapToInt(Integer::intValue).toArray();
    batch.clear();
    if (layers.length == 0) {
      layers = found;
    }

    Line head = lines.get(0);
    if (!Arrays.equals(layers, found)) {
      throw new TraceFormatException(
          "Invalid trace %s: step %d has layers %s, those before it %s. Maybe ranks of several pipeline stages lie together: choose those of one with --format-option ranks=..."
              .formatted(
                  head.place(), head.step(), Arrays.toString(found), Arrays.toString(layers)));
    }

    for (Line line : lines) {
      if (line.tokens() != head.tokens()) {
        throw new TraceFormatException(
            "Invalid trace %s: %d tokens in layer %d of step %d, but %d in layer %d"
                .formatted(
                    line.place(),
                    line.tokens(),
                    line.layer(),
                    line.step(),
                    head.tokens(),
                    head.layer()));
      }
    }

    steps.add(new Step(head.step(), rank, lines));
  }

  private Optional<Line> parse(Path hidden, Path logit, Place place, JsonNode document) {
    JsonNode block = document.path("block");
    if (!block.isTextual() || !(block.asText().equals("decoder") || block.asText().equals("mtp"))) {
      throw new TraceFormatException(
          "Invalid block in %s: %s, expected \"decoder\" or \"mtp\""
              .formatted(place, block.isMissingNode() ? "missing" : Json.shorten(block)));
    }

    if (!block.asText().equals(word(stack))) {
      return Optional.empty();
    }

    long step = Json.whole(document, "step", 0, Long.MAX_VALUE, place);
    int layer = (int) Json.whole(document, "layer", 0, 1 << 20, place);
    if (stack == Stack.MTP && document.has("mtp_idx")) {
      layer = (int) Json.whole(document, "mtp_idx", 0, 1 << 20, place);
    }

    int tokens = (int) Json.whole(document, "num_tokens", 0, 1 << 28, place);
    int k = (int) Json.whole(document, "topk", 1, 1 << 16, place);
    ids(place, document, tokens, k);
    Line line =
        new Line(
            place,
            step,
            layer,
            tokens,
            sidecar(place, document, "hs", tokens, hidden),
            sidecar(place, document, "logit", tokens, logit));
    compare(line, k);
    return Optional.of(line);
  }

  private static Sidecar sidecar(
      Place place, JsonNode document, String prefix, int tokens, Path file) {
    String key = prefix + "_offset";
    if (!document.has(key)) {
      return new Sidecar(file, 0, 0, 0);
    }

    long offset = Json.whole(document, key, 0, Long.MAX_VALUE >> 1, place);
    long bytes = Json.whole(document, prefix + "_bytes", 0, Long.MAX_VALUE >> 2, place);
    JsonNode shape = document.path(prefix + "_shape");
    int width = 0;
    double elements = 1;
    for (JsonNode axis : shape) {
      width = axis.isIntegralNumber() && axis.canConvertToInt() ? axis.asInt() : -1;
      elements *= width;
      if (width < 0) {
        break;
      }
    }

    if (width < 1 || elements != (double) tokens * width || bytes != 2 * (long) elements) {
      throw new TraceFormatException(
          "Invalid %s_shape in %s: %s with %d bytes, expected [%d tokens, size] of 2 bytes each"
              .formatted(prefix, place, Json.shorten(shape), bytes, tokens));
    }

    return new Sidecar(file, offset, bytes, width);
  }

  /** Compares what all lines have in common. */
  private void compare(Line line, int k) {
    if (first.isEmpty()) {
      first = Optional.of(line);
      topK = k;
      hiddenSize = line.hidden().width();
      logits = line.logits().width();
    } else if (k != topK
        || line.hidden().width() != hiddenSize
        || line.logits().width() != logits) {
      throw new TraceFormatException(
          "Invalid trace %s: top-%d, hidden size %d, %d logits, but %s has top-%d, %d and %d"
              .formatted(
                  line.place(),
                  k,
                  line.hidden().width(),
                  line.logits().width(),
                  first.get().place(),
                  topK,
                  hiddenSize,
                  logits));
    }
  }

  /** The ids of a line, {@code [token][rank]}. */
  static int[] ids(Place place, JsonNode document, int tokens, int topK) {
    JsonNode rows = document.path("top_indices");
    if (!rows.isArray() || rows.size() != tokens) {
      throw new TraceFormatException(
          "Invalid top_indices in %s: %s, expected a list of %d, as num_tokens says"
              .formatted(
                  place, rows.isArray() ? "a list of " + rows.size() : Json.shorten(rows), tokens));
    }

    if ((double) tokens * topK > 1 << 28) {
      throw new TraceFormatException(
          "Invalid top_indices in %s: %d tokens with top-%d, at most %d ids"
              .formatted(place, tokens, topK, 1 << 28));
    }

    int[] ids = tokens > 0 && rows.get(0).size() == topK ? new int[tokens * topK] : new int[0];
    for (int token = 0; token < tokens; token++) {
      JsonNode row = rows.get(token);
      for (int rank = 0; rank < topK; rank++) {
        JsonNode id = row.path(rank);
        if (row.size() != topK || !id.isIntegralNumber() || !id.canConvertToInt()) {
          throw new TraceFormatException(
              "Invalid top_indices in %s, token %d: %s, expected %d whole numbers"
                  .formatted(place, token, Json.shorten(row), topK));
        }

        ids[token * topK + rank] = id.asInt();
      }
    }

    return ids;
  }

  Path path() {
    return path;
  }

  /** Layer numbers as recorded, ascending. */
  int[] layers() {
    return layers.clone();
  }

  int topK() {
    return topK;
  }

  /** Length of a hidden state, or 0. */
  int hiddenSize() {
    return hiddenSize;
  }

  /** Logits of a token in a layer, or 0. */
  int logits() {
    return logits;
  }

  List<Step> steps() {
    return steps;
  }
}
