package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.util.List;
import java.util.Optional;

/**
 * Format {@code aptmoe}, routes: the top-k of the gate results that APTMoE records to train its
 * predictors; see {@link AptMoeStatesFormat}.
 */
public final class AptMoeFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public AptMoeFormat() {}

  @Override
  public String name() {
    return "aptmoe";
  }

  @Override
  public List<FormatOption<?>> options() {
    return AptMoeDump.OPTIONS;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return AptMoeDump.recognizes(source.path());
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    return !AptMoeDump.isCompressed(source.path());
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    return new Routes(new AptMoeReader(AptMoeDump.open(source, false), range));
  }

  private record Routes(RouterStatesReader states) implements TraceReader {
    @Override
    public ModelShape shape() {
      return states.shape();
    }

    @Override
    public long tokens() {
      return states.tokens();
    }

    @Override
    public boolean hasWeights() {
      return false;
    }

    @Override
    public Optional<RoutingTrace> next() {
      return states.next().map(RouterStates::routes);
    }

    @Override
    public void close() {
      states.close();
    }
  }
}
