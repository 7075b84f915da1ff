package io.expertatlas.trace.spark;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A trace in any format but the dataset's, under a path that driver and executors share. It is cut
 * into token ranges of even sizes, if ranges can be read apart.
 */
final class RawInput implements TraceInput {
  private final IngestTasks.Source source;
  private final ModelShape shape;
  private final boolean weights;
  private final long tokens;
  private final boolean splittable;

  private RawInput(IngestTasks.Source source, TraceReader reader, boolean splittable) {
    this.source = source;
    this.shape = reader.shape();
    this.weights = reader.hasWeights();
    this.tokens = reader.tokens();
    this.splittable = splittable;
  }

  static RawInput open(Path path, SparkTraceReadConf conf) {
    TraceSource asked = conf.source(path);
    TraceFormat format = TraceFormat.find(asked);
    try (TraceReader reader = format.open(asked)) {
      return new RawInput(
          IngestTasks.Source.of(asked, format.name()),
          reader,
          IngestPlan.isSplittable(format, asked));
    }
  }

  @Override
  public ModelShape shape() {
    return shape;
  }

  @Override
  public boolean weights() {
    return weights;
  }

  @Override
  public RouterFacts routerFacts() {
    try (RouterStatesReader reader = RouterStatesFormat.openStates(source.source())) {
      return RouterFacts.of(describe(), reader);
    }
  }

  @Override
  public long tokens() {
    return tokens;
  }

  @Override
  public String describe() {
    return "%s %s".formatted(source.format(), source.path());
  }

  @Override
  public TracePlan plan(TokenRange range, PushedFilters pushed, long splitTokens) {
    long from = Math.min(range.from(), tokens);
    long count = Math.min(range.to(), tokens) - from;
    long parts =
        splittable ? count / splitTokens + (count % splitTokens == 0 ? 0 : 1) : Math.min(1, count);
    List<TraceInputPartition> partitions = new ArrayList<>();
    for (long part = 0; part < parts; part++) {
      partitions.add(
          new TraceInputPartition.Raw(
              source, from + start(count, part, parts), from + start(count, part + 1, parts)));
    }

    return new TracePlan(partitions, count, "");
  }

  /** First token of a part; sizes differ by one at most. */
  private static long start(long count, long part, long parts) {
    return count / parts * part + Math.min(part, count % parts);
  }
}
