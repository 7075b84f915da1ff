package io.expertatlas.trace.spark;

/**
 * Options of {@code spark.read().format("routing-trace")}. Each can also be a Spark SQL conf,
 * {@code spark.datasource.routing-trace.OPTION}. Keys are the words of the command line.
 */
public final class SparkTraceReadOptions {
  private SparkTraceReadOptions() {}

  /** A dataset on any file system of Hadoop, or a raw file or folder under a local path. */
  public static final String PATH = "path";

  /** Name of the trace format: {@code dataset}, {@code npy}, {@code capture}, ... */
  public static final String FORMAT = "format";

  /** Found by looking at the path. */
  public static final String FORMAT_DEFAULT = "";

  /**
   * Followed by a key: what the format wants to be told, {@code format-option.top-k}; the command
   * line's {@code --format-option top-k=8}.
   */
  public static final String FORMAT_OPTION = "format-option.";

  /** Experts in each layer, for files that do not say it; 1 to 65536. */
  public static final String EXPERTS = "experts";

  /** Local file with the sequence id of each token, for raw files without. */
  public static final String SEQUENCE_FILE = "sequence-file";

  /** One sequence. */
  public static final String SEQUENCE_FILE_DEFAULT = "";

  /** Local file with the position of each token, for raw files without. */
  public static final String POSITION_FILE = "position-file";

  /** Counted from 0 in each sequence. */
  public static final String POSITION_FILE_DEFAULT = "";

  /** Tokens to read, {@code FROM:TO} (inclusive, exclusive), counted in the whole trace. */
  public static final String TOKENS = "tokens";

  /** Every token. */
  public static final String TOKENS_DEFAULT = ":";

  /** Layers to read, comma-separated: {@code 3}, {@code 0:4} (inclusive, exclusive). */
  public static final String LAYERS = "layers";

  /** Every layer. */
  public static final String LAYERS_DEFAULT = ":";

  /** Tokens that a task reads, about; datasets are not cut inside a row group. */
  public static final String SPLIT_TOKENS = "split-tokens";

  /** As many that each core has a task, at least 16,384 and at most 2^26 choices. */
  public static final long SPLIT_TOKENS_DEFAULT = 0;

  /** Tokens of a columnar batch, at most. */
  public static final String BATCH_TOKENS = "batch-tokens";

  /** 131,072 choices, at most 4,096 and at least 64 tokens; 16 MB of router states. */
  public static final int BATCH_TOKENS_DEFAULT = 0;
}
