package io.expertatlas.trace;

import java.util.Optional;

/** The selected tokens of a trace. */
final class SelectedTrace implements TraceReader {
  private final TraceReader whole;
  private final TokenSelection selection;
  private long read; // tokens of the whole trace read so far

  SelectedTrace(TraceReader whole, TokenSelection selection) {
    this.whole = whole;
    this.selection = selection;
  }

  @Override
  public ModelShape shape() {
    return whole.shape();
  }

  @Override
  public long tokens() {
    return whole.tokens();
  }

  @Override
  public boolean hasWeights() {
    return whole.hasWeights();
  }

  @Override
  public Optional<RoutingTrace> next() {
    while (read < selection.tokens().to()) {
      Optional<RoutingTrace> batch = whole.next();
      if (batch.isEmpty()) {
        return batch;
      }

      long first = read;
      RoutingTrace trace = batch.get();
      read += trace.tokens();
      RoutingTrace kept = trace.select(i -> selection.keeps(first + i, trace.sequence(i)));
      if (kept.tokens() > 0) {
        return Optional.of(kept);
      }
    }

    return Optional.empty();
  }

  @Override
  public void close() {
    whole.close();
  }
}
