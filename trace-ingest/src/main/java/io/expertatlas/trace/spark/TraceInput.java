package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.parquet.HadoopDataset;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** A trace on the driver: what is in it, and how it is cut. */
sealed interface TraceInput permits DatasetInput, RawInput {
  /** Name of the format of datasets. */
  String DATASET = "dataset";

  /** Shape of the traced model. */
  ModelShape shape();

  /** Whether there are router weights. */
  boolean weights();

  /**
   * What is known of the routers' inputs and scores.
   *
   * @throws TraceFormatException if there are neither
   */
  RouterFacts routerFacts();

  /** Tokens of the whole trace. */
  long tokens();

  /** Format and path, for EXPLAIN. */
  String describe();

  /**
   * Cuts the trace.
   *
   * @param range tokens to read
   * @param pushed rows to read of them; what cannot hold any is left out
   * @param splitTokens tokens of a task, about
   */
  TracePlan plan(TokenRange range, PushedFilters pushed, long splitTokens);

  /**
   * Tasks in the order of their tokens.
   *
   * @param partitions one a task
   * @param tokens that the tasks read, before rows are filtered
   * @param parts what of the input is left, for EXPLAIN: {@code 3 of 5 parts}; empty: nothing to
   *     say
   */
  record TracePlan(List<TraceInputPartition> partitions, long tokens, String parts) {
    /** Copies the list. */
    public TracePlan {
      partitions = List.copyOf(partitions);
    }
  }

  /**
   * Opens a trace: a dataset on any file system, else a raw file under a local path.
   *
   * @throws TraceFormatException if it is neither
   */
  static TraceInput open(SparkTraceReadConf conf, Configuration hadoop) {
    Path path = new Path(conf.path());
    try {
      if (conf.format().isEmpty() || conf.format().equals(DATASET)) {
        Path qualified = path.getFileSystem(hadoop).makeQualified(path);
        Optional<TraceManifest> manifest = HadoopDataset.findManifest(qualified, hadoop);
        if (manifest.isPresent()) {
          return new DatasetInput(qualified, manifest.get(), conf, hadoop);
        }

        if (conf.format().equals(DATASET)) {
          throw new TraceFormatException(
              "Cannot read dataset %s: it has no %s"
                  .formatted(HadoopDataset.display(qualified), TraceManifest.FILE));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read %s: %s".formatted(conf.path(), e.getMessage()), e);
    }

    return RawInput.open(
        local(conf.path())
            .orElseThrow(
                () ->
                    new TraceFormatException(
                        "Cannot read %s: it is no routing-trace dataset, and other formats are read from local or mounted paths only. Maybe mount or copy it"
                            .formatted(conf.path()))),
        conf);
  }

  /** The local file that a path names, if it names no other file system. */
  static Optional<java.nio.file.Path> local(String path) {
    URI uri = new Path(path).toUri();
    return uri.getScheme() == null || uri.getScheme().equals("file")
        ? Optional.of(java.nio.file.Path.of(uri.getPath()).toAbsolutePath())
        : Optional.empty();
  }
}
