package io.expertatlas.trace.spark;

import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.InputFile;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.parquet.Checksums;
import io.expertatlas.trace.parquet.DatasetPartWriter;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** What executors do. Values that travel to them are plain, because paths are not serializable. */
final class IngestTasks {
  private IngestTasks() {}

  /** A {@link TraceSource} on its way to an executor. */
  record Source(
      String path,
      String format,
      int experts,
      String sequences,
      String positions,
      List<String> options)
      implements Serializable {
    static Source of(TraceSource source, String format) {
      return new Source(
          source.path().toString(),
          format,
          source.experts().orElse(0),
          source.sequences().map(Path::toString).orElse(""),
          source.positions().map(Path::toString).orElse(""),
          source.options().entries());
    }

    TraceSource source() {
      return new TraceSource(
          Path.of(path),
          format,
          experts == 0 ? OptionalInt.empty() : OptionalInt.of(experts),
          sequences.isEmpty() ? Optional.empty() : Optional.of(Path.of(sequences)),
          positions.isEmpty() ? Optional.empty() : Optional.of(Path.of(positions)),
          FormatOptions.parse(options));
    }
  }

  /** One task: tokens of a source that become a part file; without a file, they are only read. */
  record Task(Source source, long from, long to, String file, int sequenceOffset)
      implements Serializable {}

  /** What a task found and wrote. */
  record Written(String file, long rows, long bytes, String sha256, SequenceIds sequences)
      implements Serializable {
    Part part() {
      return new Part(file, rows, bytes, sha256);
    }
  }

  /** A file of an input. */
  record Hashed(String name, long bytes, String sha256) implements Serializable {
    InputFile inputFile() {
      return new InputFile(name, bytes, sha256);
    }
  }

  /** Reads the tokens of a task and finds their sequences. */
  static SequenceIds scan(Task task) {
    SequenceIds sequences = new SequenceIds();
    forEachBatch(task, batch -> collect(batch, sequences));
    return sequences;
  }

  private static void collect(RoutingTrace batch, SequenceIds sequences) {
    for (int token = 0; token < batch.tokens(); token++) {
      sequences.add(batch.sequence(token));
    }
  }

  /**
   * Writes the part file of a task. Attempts of one task do not meet: each writes a file of its own
   * and moves it to the part's name when it is complete.
   */
  static Written write(Task task, long attempt) throws IOException {
    Path file = Path.of(task.file());
    Path aside = file.resolveSibling(".%s.attempt-%d".formatted(file.getFileName(), attempt));
    try {
      SequenceIds sequences = new SequenceIds();
      Part part = writeTo(aside, file.getFileName().toString(), task, sequences);
      Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      return new Written(
          file.getFileName().toString(), part.rows(), part.bytes(), part.sha256(), sequences);
    } finally {
      Files.deleteIfExists(aside);
    }
  }

  /** The only part of an empty dataset: no rows, but columns, so that it reads as any other. */
  static Written writeEmpty(Path folder, ModelShape shape, boolean weights) throws IOException {
    String name = "part-00000.parquet";
    try (DatasetPartWriter writer = new DatasetPartWriter(folder.resolve(name), shape, weights)) {
      Part part = writer.finish(name);
      return new Written(name, 0, part.bytes(), part.sha256(), new SequenceIds());
    }
  }

  private static Part writeTo(Path aside, String name, Task task, SequenceIds sequences)
      throws IOException {
    TraceSource source = task.source().source();
    ModelShape shape;
    boolean weights;
    try (TraceReader reader = TraceFormat.openTrace(source)) {
      shape = reader.shape();
      weights = reader.hasWeights();
    }

    try (DatasetPartWriter writer = new DatasetPartWriter(aside, shape, weights)) {
      forEachBatch(
          task,
          batch -> {
            collect(batch, sequences);
            try {
              writer.write(batch, task.sequenceOffset());
            } catch (IOException e) {
              throw new java.io.UncheckedIOException(
                  "Cannot write %s: %s".formatted(aside, e.getMessage()), e);
            }
          });
      return writer.finish(name);
    }
  }

  private static void forEachBatch(Task task, Consumer<RoutingTrace> consumer) {
    TraceSource source = task.source().source();
    long read = 0;
    try (TraceReader reader =
        TraceFormat.find(source).open(source, new TokenRange(task.from(), task.to()))) {
      for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
        consumer.accept(next.get());
        read += next.get().tokens();
      }
    }

    if (read != task.to() - task.from()) {
      throw new TraceFormatException(
          "Cannot read tokens %d:%d of %s: got %d. Maybe it changed meanwhile"
              .formatted(task.from(), task.to(), source.path(), read));
    }
  }

  /**
   * The files whose checksums say what was read: the source itself, or the files in its folder (of
   * a capture or a dataset the JSON descriptions, which hold the checksums of the rest); then its
   * columns.
   */
  static List<Path> files(TraceSource source) throws IOException {
    List<Path> files = new ArrayList<>();
    if (Files.isDirectory(source.path())) {
      try (Stream<Path> children = Files.list(source.path())) {
        boolean described =
            Files.exists(source.path().resolve("capture.json"))
                || Files.exists(source.path().resolve(TraceManifest.FILE));
        children
            .filter(Files::isRegularFile)
            .filter(child -> !described || child.toString().endsWith(".json"))
            .sorted()
            .forEach(files::add);
      }
    } else {
      files.add(source.path());
    }

    source.sequences().ifPresent(files::add);
    source.positions().ifPresent(files::add);
    return files;
  }

  static Hashed hash(String file) throws IOException {
    Path path = Path.of(file);
    return new Hashed(path.getFileName().toString(), Files.size(path), Checksums.sha256(path));
  }
}
