package io.expertatlas.trace.spark;

/**
 * Options of {@code df.write().format("routing-trace")}. Shape options are needed only if the
 * column {@code experts} does not carry the shape as metadata, as it does when it was read by this
 * source.
 */
public final class SparkTraceWriteOptions {
  private SparkTraceWriteOptions() {}

  /** The dataset's folder, on any file system of Hadoop. */
  public static final String PATH = "path";

  /** MoE layers of the model. */
  public static final String LAYERS = "layers";

  /** Experts in each layer; 1 to 65536. */
  public static final String EXPERTS = "experts";

  /** Experts that a token visits in each layer; 1 to {@link #EXPERTS}. */
  public static final String TOP_K = "top-k";
}
