package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Files;
import java.util.List;

/**
 * Format {@code flame-moe}: the published routing traces of FLAME-MoE, a folder of {@code
 * layer_<n>.parquet} for one checkpoint (or one of them), with columns {@code indices} and {@code
 * scores}, lists of k. Row i of every file is the same token.
 */
public final class FlameMoeFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public FlameMoeFormat() {}

  @Override
  public String name() {
    return "flame-moe";
  }

  @Override
  public List<FormatOption<?>> options() {
    return FlameMoeTrace.OPTIONS;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return Files.isDirectory(source.path())
        ? RankFiles.has(source.path(), FlameMoeTrace.FILE)
        : Files.isRegularFile(source.path())
            && RankFiles.number(source.path(), FlameMoeTrace.FILE).isPresent();
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    FlameMoeTrace trace = FlameMoeTrace.open(source);
    return new BlockTraceReader(trace, range, trace.shape().choicesPerToken());
  }
}
