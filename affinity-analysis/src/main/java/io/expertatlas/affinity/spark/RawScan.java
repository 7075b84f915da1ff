package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Counts raw files and captures: every task opens the file for a range of its tokens. The files lie
 * where the driver and all executors see them under the same path.
 */
final class RawScan {
  private static final int TOKENS_PER_TASK = 1 << 14; // at least, or starting tasks is the work

  private RawScan() {}

  /** A range of tokens; plain values, because paths are not serializable. */
  private record Task(
      String path,
      String format,
      int experts,
      String sequenceFile,
      String positionFile,
      List<String> formatOptions,
      String sequences,
      long from,
      long to,
      AnalysisPlan analysis,
      long firstToken)
      implements Serializable {
    AnalysisCounter count() {
      TraceSource source =
          new TraceSource(
              Path.of(path),
              format,
              experts == 0 ? OptionalInt.empty() : OptionalInt.of(experts),
              sequenceFile.isEmpty() ? Optional.empty() : Optional.of(Path.of(sequenceFile)),
              positionFile.isEmpty() ? Optional.empty() : Optional.of(Path.of(positionFile)),
              FormatOptions.parse(formatOptions));
      Sequences kept = Sequences.parse(sequences);
      try (TraceReader reader = TraceFormat.find(source).open(source, new TokenRange(from, to))) {
        AnalysisCounter counter = new AnalysisCounter(reader.shape(), analysis, firstToken);
        long read = 0;
        for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
          RoutingTrace batch = next.get();
          counter.add(from + read, batch, kept);
          read += batch.tokens();
        }

        if (read != to - from) {
          throw new TraceFormatException(
              "Cannot read tokens %d:%d of %s: got %d. Maybe it changed meanwhile"
                  .formatted(from, to, path, read));
        }

        return counter;
      } catch (IllegalArgumentException e) {
        throw new TraceFormatException("Cannot count %s: %s".formatted(path, e.getMessage()), e);
      }
    }
  }

  /**
   * One counter for each partition.
   *
   * @param tokens range to count, within the trace
   * @param partitions number of partitions; 0: as many as pay
   */
  static JavaRDD<AnalysisCounter> counters(
      JavaSparkContext spark,
      TraceSource source,
      String format,
      TokenSelection selection,
      TokenRange tokens,
      AnalysisPlan analysis,
      int partitions) {
    long count = tokens.to() - tokens.from();
    long wanted =
        partitions > 0
            ? partitions
            : Math.min(spark.defaultParallelism(), count / TOKENS_PER_TASK + 1);
    long parts = Math.min(wanted, count);
    List<Task> tasks = new ArrayList<>();
    for (long part = 0; part < parts; part++) {
      tasks.add(
          new Task(
              source.path().toAbsolutePath().toString(),
              format,
              source.experts().orElse(0),
              absolute(source.sequences()),
              absolute(source.positions()),
              source.options().entries(),
              selection.sequences().toString(),
              tokens.from() + count * part / parts,
              tokens.from() + count * (part + 1) / parts,
              analysis,
              tokens.from()));
    }

    return spark.parallelize(tasks, tasks.size()).map(Task::count);
  }

  private static String absolute(Optional<Path> path) {
    return path.map(file -> file.toAbsolutePath().toString()).orElse("");
  }
}
