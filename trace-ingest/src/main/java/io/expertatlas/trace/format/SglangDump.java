package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputFiles;
import io.expertatlas.trace.torch.TorchFile;
import io.expertatlas.trace.torch.TorchTensor;
import io.expertatlas.trace.torch.TorchValue;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A dump of SGLang's expert distribution recorder: one file of {@code torch.save}, or a folder with
 * a file of each rank, {@code expert_distribution_recorder_TIME_RANK.pt}, in the order of the
 * ranks.
 */
final class SglangDump implements Closeable {
  static final String RECORDS = "records";
  static final String TOP_K = "topk_ids_of_layer";
  static final String LOGICAL = "logical_count";
  static final String PHYSICAL = "global_physical_count";
  private static final String MAP = "last_physical_to_logical_map";
  private static final Pattern NAME =
      Pattern.compile("expert_distribution_recorder_\\d+(\\.\\d+)?(_(\\d{1,6}))?\\.pt");

  /** What the recorder kept. */
  enum Kind {
    /** Counts of logical experts, over all ranks. */
    STAT,
    /** Counts of physical experts in each pass. */
    PER_PASS,
    /** The choices of each token. */
    PER_TOKEN,
    /** Not a dump of the recorder. */
    NONE
  }

  /** The file of one rank. */
  record Rank(int rank, Path path, TorchFile file, TorchValue root) {
    TorchValue records() {
      return root.key(RECORDS);
    }

    /** The logical expert of each physical one, {@code [layer][physical]}. */
    int[][] physicalToLogical() {
      TorchValue value = root.key(MAP);
      TorchTensor map = value.tensor(2);
      long layers = map.size(0);
      long physical = map.size(1);
      if (layers < 1 || physical < 1 || map.count() > 1 << 24) {
        throw value.wrong("a tensor (layers, physical experts)");
      }

      long[] numbers = new long[(int) map.count()];
      map.readIntegers(0, numbers.length, numbers);
      int[][] logical = new int[(int) layers][(int) physical];
      for (int i = 0; i < numbers.length; i++) {
        int layer = (int) (i / physical);
        int slot = (int) (i % physical);
        long bound = Math.min(physical, ModelShape.MAX_EXPERTS);
        if (numbers[i] < 0 || numbers[i] >= bound) {
          throw new TraceFormatException(
              "Invalid logical expert %d at %s, layer %d, physical expert %d: 0 to %d"
                  .formatted(numbers[i], value.at(), layer, slot, bound - 1));
        }

        logical[layer][slot] = (int) numbers[i];
      }

      return logical;
    }
  }

  private final List<Rank> ranks;

  private SglangDump(List<Rank> ranks) {
    this.ranks = ranks;
  }

  /** What a path holds, by the keys of its first file. */
  static Kind kind(Path path) {
    try {
      List<Path> files = Files.isDirectory(path) ? files(path) : List.of(path);
      if (files.isEmpty() || !TorchFile.isTorch(files.get(0))) {
        return Kind.NONE;
      }

      try (TorchFile file = TorchFile.open(files.get(0))) {
        return kind(file.root());
      }
    } catch (TraceFormatException | UncheckedIOException e) {
      return Kind.NONE; // not readable: whoever opens it says why
    }
  }

  private static Kind kind(TorchValue root) {
    if (root.has(LOGICAL)) {
      return Kind.STAT;
    }

    if (!root.has(RECORDS) || !root.has(MAP) || !root.key(RECORDS).isList()) {
      return Kind.NONE;
    }

    TorchValue records = root.key(RECORDS);
    return records.size() > 0 && records.at(0).has(TOP_K) ? Kind.PER_TOKEN : Kind.PER_PASS;
  }

  private static List<Path> files(Path folder) {
    try (Stream<Path> children = Files.list(folder)) {
      return children
          .filter(child -> NAME.matcher(InputFiles.plainName(child)).matches())
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot list %s: %s".formatted(folder, e.getMessage()), e);
    }
  }

  /**
   * Opens a dump.
   *
   * @param only the rank to read; empty: all
   * @throws TraceFormatException if a file is not of the recorder, or two are of one rank
   */
  static SglangDump open(Path path, OptionalInt only) {
    List<Path> files = Files.isDirectory(path) ? files(path) : List.of(path);
    if (files.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read SGLang dump %s: it has no file expert_distribution_recorder_TIME_RANK.pt"
              .formatted(path));
    }

    Map<Integer, Rank> ranks = new TreeMap<>();
    try {
      for (Path file : files) {
        int rank = rank(file);
        if (only.isPresent() && only.getAsInt() != rank) {
          continue;
        }

        TorchFile torch = TorchFile.open(file);
        Rank before = ranks.put(rank, new Rank(rank, file, torch, torch.root()));
        if (before != null) {
          before.file().close();
          throw new TraceFormatException(
              "Cannot read SGLang dump %s: both %s and %s are of rank %d. Maybe keep each dump in a folder of its own"
                  .formatted(path, before.path().getFileName(), file.getFileName(), rank));
        }

        TorchValue root = ranks.get(rank).root();
        if (kind(root) == Kind.NONE) {
          throw root.wrong(
              "a dict with key %s, or keys %s and %s".formatted(LOGICAL, RECORDS, MAP));
        }
      }
    } catch (RuntimeException e) {
      ranks.values().forEach(rank -> rank.file().close());
      throw e;
    }

    if (ranks.isEmpty()) {
      throw new TraceFormatException(
          "Missing rank %d in SGLang dump %s: it has files %s"
              .formatted(only.orElse(0), path, files.stream().map(Path::getFileName).toList()));
    }

    return new SglangDump(List.copyOf(ranks.values()));
  }

  private static int rank(Path file) {
    Matcher matcher = NAME.matcher(InputFiles.plainName(file));
    return matcher.matches() && matcher.group(3) != null ? Integer.parseInt(matcher.group(3)) : 0;
  }

  /** The files, in the order of their ranks. */
  List<Rank> ranks() {
    return ranks;
  }

  /** What the files hold: all the same. */
  Kind kind() {
    Kind kind = kind(ranks.get(0).root());
    for (Rank rank : ranks) {
      Kind other = kind(rank.root());
      boolean empty = other == Kind.PER_PASS && rank.records().size() == 0;
      if (other != kind && !empty) {
        throw new TraceFormatException(
            "Cannot read SGLang ranks %d and %d together: %s is of kind %s, %s of kind %s"
                .formatted(
                    ranks.get(0).rank(),
                    rank.rank(),
                    ranks.get(0).path(),
                    kind,
                    rank.path(),
                    other));
      }
    }

    return kind;
  }

  /** Logical experts of a map: ids are 0 to one less. */
  static int experts(int[][] physicalToLogical) {
    int max = 0;
    for (int[] layer : physicalToLogical) {
      for (int logical : layer) {
        max = Math.max(max, logical);
      }
    }

    return max + 1;
  }

  /** Whether a path holds compressed files. */
  static boolean isCompressed(Path path) {
    List<Path> files = new ArrayList<>(Files.isDirectory(path) ? files(path) : List.of(path));
    return files.stream().anyMatch(InputFiles::isCompressed);
  }

  @Override
  public void close() {
    ranks.forEach(rank -> rank.file().close());
  }
}
