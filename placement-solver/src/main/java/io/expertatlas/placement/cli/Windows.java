package io.expertatlas.placement.cli;

import io.expertatlas.affinity.RouteCounter;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceReader;
import java.util.Optional;

/** Cuts a trace into windows and counts each. */
final class Windows {
  private final TraceReader reader;
  private final int length;
  private Optional<RoutingTrace> rest = Optional.empty();
  private long read;

  Windows(TraceReader reader, int length) {
    this.reader = reader;
    this.length = length;
  }

  long read() {
    return read;
  }

  /** The counts of the next window, the last maybe of fewer tokens; empty at the end. */
  Optional<RouteCounts> next() {
    RouteCounter counter = new RouteCounter(reader.shape());
    while (counter.tokens() < length) {
      Optional<RoutingTrace> batch = rest.isPresent() ? rest : reader.next();
      rest = Optional.empty();
      if (batch.isEmpty()) {
        break;
      }

      RoutingTrace trace = batch.get();
      int some = (int) Math.min(trace.tokens(), length - counter.tokens());
      counter.add(some == trace.tokens() ? trace : trace.slice(0, some));
      read += some;
      if (some < trace.tokens()) {
        rest = Optional.of(trace.slice(some, trace.tokens()));
      }
    }

    return counter.tokens() == 0 ? Optional.empty() : Optional.of(counter.counts());
  }
}
