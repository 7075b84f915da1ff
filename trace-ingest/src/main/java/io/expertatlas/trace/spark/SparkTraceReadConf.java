package io.expertatlas.trace.spark;

import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The read options, typed. Precedence: read option, then Spark SQL conf {@code
 * spark.datasource.routing-trace.OPTION} (which Spark merges in), then default. Unknown keys are
 * errors; all problems are said at once. Lives on the driver, is not meant to be serialized.
 */
final class SparkTraceReadConf {
  static final List<String> KEYS =
      List.of(
          SparkTraceReadOptions.PATH,
          SparkTraceReadOptions.FORMAT,
          SparkTraceReadOptions.FORMAT_OPTION,
          SparkTraceReadOptions.EXPERTS,
          SparkTraceReadOptions.SEQUENCE_FILE,
          SparkTraceReadOptions.POSITION_FILE,
          SparkTraceReadOptions.TOKENS,
          SparkTraceReadOptions.LAYERS,
          SparkTraceReadOptions.SPLIT_TOKENS,
          SparkTraceReadOptions.BATCH_TOKENS);

  private static final long MIN_SPLIT_TOKENS = 1 << 14; // or starting tasks is the work
  private static final long MAX_SPLIT_CHOICES = 1 << 26;
  private static final int BATCH_CHOICES = 1 << 17;
  private static final int MAX_BATCH_TOKENS = 1 << 12;
  private static final int MIN_BATCH_TOKENS = 1 << 6;
  private static final int BATCH_STATES = 1 << 22; // 16 MB of router states
  private static final int MAX_VECTOR = 1 << 28; // vectors hold 2 GiB

  private final String path;
  private final String format;
  private final FormatOptions formatOptions;
  private final OptionalInt experts;
  private final String sequenceFile;
  private final String positionFile;
  private final TokenRange tokens;
  private final String layers;
  private final long splitTokens;
  private final int batchTokens;

  /**
   * Reads the options.
   *
   * @throws IllegalArgumentException if any is unknown or invalid
   */
  SparkTraceReadConf(CaseInsensitiveStringMap options) {
    SparkTraceConfParser parser =
        new SparkTraceConfParser(options, KEYS, Set.of(SparkTraceWriteOptions.TOP_K));
    path = parser.required(SparkTraceReadOptions.PATH);
    format = parser.text(SparkTraceReadOptions.FORMAT, SparkTraceReadOptions.FORMAT_DEFAULT);
    formatOptions = FormatOptions.parse(parser.entries(SparkTraceReadOptions.FORMAT_OPTION));
    OptionalLong number = parser.number(SparkTraceReadOptions.EXPERTS, 1, ModelShape.MAX_EXPERTS);
    experts = number.isPresent() ? OptionalInt.of((int) number.getAsLong()) : OptionalInt.empty();
    sequenceFile =
        parser.text(
            SparkTraceReadOptions.SEQUENCE_FILE, SparkTraceReadOptions.SEQUENCE_FILE_DEFAULT);
    positionFile =
        parser.text(
            SparkTraceReadOptions.POSITION_FILE, SparkTraceReadOptions.POSITION_FILE_DEFAULT);
    tokens =
        parser.parsed(
            SparkTraceReadOptions.TOKENS, SparkTraceReadOptions.TOKENS_DEFAULT, TokenRange::parse);
    layers = parser.text(SparkTraceReadOptions.LAYERS, SparkTraceReadOptions.LAYERS_DEFAULT);
    splitTokens =
        parser
            .number(SparkTraceReadOptions.SPLIT_TOKENS, 1, Long.MAX_VALUE)
            .orElse(SparkTraceReadOptions.SPLIT_TOKENS_DEFAULT);
    batchTokens =
        (int)
            parser
                .number(SparkTraceReadOptions.BATCH_TOKENS, 1, 1 << 20)
                .orElse(SparkTraceReadOptions.BATCH_TOKENS_DEFAULT);
    parser.end("read routing-trace");
  }

  String path() {
    return path;
  }

  String format() {
    return format;
  }

  FormatOptions formatOptions() {
    return formatOptions;
  }

  OptionalInt experts() {
    return experts;
  }

  String sequenceFile() {
    return sequenceFile;
  }

  String positionFile() {
    return positionFile;
  }

  /** A raw file with what the options say of it. */
  TraceSource source(Path file) {
    return new TraceSource(
        file, format, experts, absolute(sequenceFile), absolute(positionFile), formatOptions);
  }

  private static Optional<Path> absolute(String name) {
    return name.isEmpty() ? Optional.empty() : Optional.of(Path.of(name).toAbsolutePath());
  }

  TokenRange tokens() {
    return tokens;
  }

  /**
   * The chosen layers of a model.
   *
   * @throws IllegalArgumentException if the option is none, or outside the model
   */
  LayerSelection layers(ModelShape shape) {
    return layers.equals(SparkTraceReadOptions.LAYERS_DEFAULT)
        ? LayerSelection.all(shape)
        : LayerSelection.parse(layers, shape);
  }

  /** Tokens of a task. */
  long splitTokens(long all, int width, int parallelism) {
    if (splitTokens != SparkTraceReadOptions.SPLIT_TOKENS_DEFAULT) {
      return splitTokens;
    }

    long even = (all + parallelism - 1) / parallelism;
    return Math.max(1, Math.min(MAX_SPLIT_CHOICES / width, Math.max(MIN_SPLIT_TOKENS, even)));
  }

  /**
   * Tokens of a batch.
   *
   * @param width choices of a token
   * @param stateValues values of router states of a token that are read
   */
  int batchTokens(int width, long stateValues) {
    if (batchTokens != SparkTraceReadOptions.BATCH_TOKENS_DEFAULT) {
      return (int) Math.min(batchTokens, Math.max(1, MAX_VECTOR / Math.max(width, stateValues)));
    }

    int tokens = Math.max(MIN_BATCH_TOKENS, Math.min(MAX_BATCH_TOKENS, BATCH_CHOICES / width));
    return stateValues == 0
        ? tokens
        : (int) Math.min(tokens, Math.max(1, BATCH_STATES / stateValues));
  }
}
