package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import java.util.ArrayList;
import java.util.List;

/**
 * What an ingest reads, cut into splits. Depends on the inputs only, not on the cluster, so that
 * the same inputs give the same part files everywhere.
 *
 * @param shape of all inputs
 * @param weights whether all inputs have router weights
 * @param sources the inputs
 * @param formats name of the format of each input
 * @param tokens tokens of each input
 * @param splits in the order of their tokens
 */
record IngestPlan(
    ModelShape shape,
    boolean weights,
    List<TraceSource> sources,
    List<String> formats,
    List<Long> tokens,
    List<Split> splits) {
  /** Choices that one part file holds: at least this many, if there are that many. */
  private static final long MIN_CHOICES = 1L << 22;

  /** And at most this many, about 150 MB of Parquet. */
  private static final long MAX_CHOICES = 1L << 28;

  /** Between the two bounds, a dataset has at most this many parts. */
  private static final long PARTS = 256;

  /** Tokens of one input that become one part file. */
  record Split(int source, TokenRange range, long tokens) {}

  IngestPlan {
    sources = List.copyOf(sources);
    formats = List.copyOf(formats);
    tokens = List.copyOf(tokens);
    splits = List.copyOf(splits);
  }

  /** Whether many tasks can share an input. */
  static boolean isSplittable(TraceFormat format, TraceSource source) {
    return format.isSplittable(source) && !InputFiles.isCompressed(source.path());
  }

  /**
   * Opens every input and cuts it.
   *
   * @throws TraceFormatException if an input cannot be read, or two do not go together
   */
  static IngestPlan of(List<TraceSource> sources) {
    if (sources.isEmpty()) {
      throw new IllegalArgumentException("No input to ingest");
    }

    List<ModelShape> shapes = new ArrayList<>();
    List<Boolean> weights = new ArrayList<>();
    List<String> formats = new ArrayList<>();
    List<Long> tokens = new ArrayList<>();
    List<Boolean> splittable = new ArrayList<>();
    for (TraceSource source : sources) {
      TraceFormat format = TraceFormat.find(source);
      try (TraceReader reader = format.open(source)) {
        formats.add(format.name());
        shapes.add(reader.shape());
        weights.add(reader.hasWeights());
        tokens.add(reader.tokens());
        splittable.add(isSplittable(format, source));
      }
    }

    for (int i = 1; i < sources.size(); i++) {
      if (!shapes.get(i).equals(shapes.get(0))) {
        throw new TraceFormatException(
            "Cannot ingest %s (%s) with %s (%s): one dataset is of one model"
                .formatted(
                    sources.get(0).path(), shapes.get(0), sources.get(i).path(), shapes.get(i)));
      }

      if (!weights.get(i).equals(weights.get(0))) {
        int with = weights.get(0) ? 0 : i;
        int without = weights.get(0) ? i : 0;
        throw new TraceFormatException(
            "Cannot ingest %s (has router weights) with %s (has none)"
                .formatted(sources.get(with).path(), sources.get(without).path()));
      }
    }

    return new IngestPlan(
        shapes.get(0),
        weights.get(0),
        sources,
        formats,
        tokens,
        cut(tokens, splittable, splitTokens(tokens, shapes.get(0).choicesPerToken())));
  }

  static long splitTokens(List<Long> tokens, int width) {
    long total = tokens.stream().mapToLong(Long::longValue).sum();
    long wanted = (total + PARTS - 1) / PARTS;
    return Math.max(1, Math.max(MIN_CHOICES / width, Math.min(MAX_CHOICES / width, wanted)));
  }

  private static List<Split> cut(List<Long> tokens, List<Boolean> splittable, long splitTokens) {
    List<Split> splits = new ArrayList<>();
    for (int source = 0; source < tokens.size(); source++) {
      long all = tokens.get(source);
      long parts =
          splittable.get(source) ? (all + splitTokens - 1) / splitTokens : Math.min(1, all);
      for (long part = 0; part < parts; part++) {
        long from = all / parts * part + Math.min(part, all % parts); // sizes differ by one
        long to = all / parts * (part + 1) + Math.min(part + 1, all % parts);
        splits.add(new Split(source, new TokenRange(from, to), to - from));
      }
    }

    return splits;
  }

  /** Tokens of all inputs. */
  long totalTokens() {
    return tokens.stream().mapToLong(Long::longValue).sum();
  }
}
