package io.expertatlas.trace.format;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Format {@code smartmoe}: a folder of {@code table_iter<I>_rank<R>.log}, or one of them. A line is
 * {@code layer:[[counts] for each micro-batch]}. One window for each iteration, rank and
 * micro-batch.
 */
public final class SmartMoeFormat implements CountsFormat {
  private static final Pattern FILE = Pattern.compile("table_iter(\\d{1,18})_rank(\\d{1,6})\\.log");
  private static final Pattern LINE = Pattern.compile("\\s*(\\d{1,6})\\s*:\\s*(\\[.*\\])\\s*");
  private static final long MAX_FILE_BYTES = 1 << 28;

  private record Log(Path path, long iteration, int rank) {}

  /** For {@link java.util.ServiceLoader}. */
  public SmartMoeFormat() {}

  @Override
  public String name() {
    return "smartmoe";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return Files.exists(source.path()) && !logs(source.path()).isEmpty();
  }

  private static List<Log> logs(Path path) {
    List<Log> logs = new ArrayList<>();
    try (Stream<Path> files = Files.isDirectory(path) ? Files.list(path) : Stream.of(path)) {
      for (Path file : files.toList()) {
        Matcher name = FILE.matcher(InputFiles.plainName(file));
        if (name.matches()) {
          logs.add(new Log(file, Long.parseLong(name.group(1)), Integer.parseInt(name.group(2))));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }

    logs.sort(
        Comparator.comparingLong(Log::iteration)
            .thenComparingInt(Log::rank)
            .thenComparing(Log::path));
    return logs;
  }

  @Override
  public CountsReader open(TraceSource source) {
    Sources.refuseColumns(source);
    List<Log> logs = Files.exists(source.path()) ? logs(source.path()) : List.of();
    if (logs.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read counts from %s: it holds no table_iter<I>_rank<R>.log"
              .formatted(source.path()));
    }

    for (int i = 1; i < logs.size(); i++) {
      Log before = logs.get(i - 1);
      if (before.iteration() == logs.get(i).iteration() && before.rank() == logs.get(i).rank()) {
        throw new TraceFormatException(
            "Cannot tell which to read in %s: %s and %s are of the same iteration and rank"
                .formatted(
                    source.path(), before.path().getFileName(), logs.get(i).path().getFileName()));
      }
    }

    Reader reader = new Reader(logs);
    Sources.checkExperts(source, reader.experts());
    return reader;
  }

  private static final class Reader implements CountsReader {
    private final List<Log> logs;
    private final Deque<ExpertCounts> ready = new ArrayDeque<>();
    private int nextLog;
    private int layers; // 0: not known yet
    private int experts;
    private String first = "";

    Reader(List<Log> logs) {
      this.logs = logs;
      readLog(); // says the shape
    }

    @Override
    public int layers() {
      return layers;
    }

    @Override
    public int experts() {
      return experts;
    }

    @Override
    public Optional<ExpertCounts> next() {
      while (ready.isEmpty() && nextLog < logs.size()) {
        readLog();
      }

      return Optional.ofNullable(ready.poll());
    }

    private void readLog() {
      Log log = logs.get(nextLog++);
      SortedMap<Integer, JsonNode> tables = new TreeMap<>();
      try (LineFile lines = LineFile.open(log.path())) {
        for (var line = lines.read(); line.isPresent(); line = lines.read()) {
          if (lines.offset() > MAX_FILE_BYTES) {
            throw new TraceFormatException(
                "Cannot read %s: more than %d bytes".formatted(log.path(), MAX_FILE_BYTES));
          }

          put(log.path(), lines.number(), line.get(), tables);
        }
      }

      take(log, tables);
    }

    private static void put(
        Path path, long number, String line, SortedMap<Integer, JsonNode> tables) {
      Matcher matcher = LINE.matcher(line);
      if (!matcher.matches()) {
        throw new TraceFormatException(
            "Invalid line %d in %s: '%s', expected layer:[[counts], ...]"
                .formatted(number, path, cut(line)));
      }

      int layer = Integer.parseInt(matcher.group(1));
      if (tables.put(layer, parse(path, number, matcher.group(2))) != null) {
        throw new TraceFormatException(
            "Invalid line %d in %s: layer %d stands twice".formatted(number, path, layer));
      }
    }

    private static String cut(String line) {
      return line.length() > 40 ? line.substring(0, 40) + "..." : line;
    }

    private static JsonNode parse(Path path, long line, String lists) {
      try {
        return Json.MAPPER.readTree(lists);
      } catch (JsonProcessingException e) {
        throw new TraceFormatException(
            "Invalid list in %s, line %d: %s".formatted(path, line, e.getOriginalMessage()), e);
      }
    }

    private void take(Log log, SortedMap<Integer, JsonNode> tables) {
      if (layers == 0 && !tables.isEmpty()) {
        JsonNode table = tables.get(tables.firstKey());
        layers = tables.size();
        experts = table.path(0).size();
        first = log.path().toString();
      }

      if (tables.size() != layers
          || layers == 0
          || tables.firstKey() != 0
          || tables.lastKey() != layers - 1
          || experts < 1
          || experts > ModelShape.MAX_EXPERTS) {
        throw new TraceFormatException(
            "Invalid layers %s in %s: expected 0 to %d with %d experts%s"
                .formatted(
                    tables.keySet(),
                    log.path(),
                    Math.max(0, layers - 1),
                    experts,
                    first.isEmpty() ? "" : ", as in " + first));
      }

      int batches = tables.get(0).size();
      for (int batch = 0; batch < batches; batch++) {
        long[] counts = new long[layers * experts];
        for (int layer = 0; layer < layers; layer++) {
          JsonNode table = tables.get(layer);
          JsonNode row = table.path(batch);
          if (table.size() != batches || row.size() != experts) {
            throw new TraceFormatException(
                "Invalid table of layer %d in %s: %d micro-batches, the one numbered %d with %d counts, expected %d with %d"
                    .formatted(
                        layer, log.path(), table.size(), batch, row.size(), batches, experts));
          }

          for (int expert = 0; expert < experts; expert++) {
            counts[layer * experts + expert] =
                WholeCounts.of(row.get(expert), log.path(), "micro-batch", batch, layer, expert);
          }
        }

        ready.add(
            ExpertCounts.of(
                layers,
                experts,
                "iteration %d, micro-batch %d".formatted(log.iteration(), batch),
                log.iteration(),
                OptionalInt.of(log.rank()),
                counts));
      }
    }

    @Override
    public void close() {
      ready.clear();
    }
  }
}
