package io.expertatlas.affinity;

import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceReader;
import java.util.Optional;

/**
 * Counts the routes of a trace on one thread, without Spark: the reference of the Spark job, and
 * enough for traces of some million tokens. Stateless.
 */
public final class InMemoryEstimator {
  private InMemoryEstimator() {}

  /**
   * Counts every token that the reader still gives; does not close it.
   *
   * @throws io.expertatlas.trace.TraceFormatException if the trace is broken
   */
  public static RouteCounts count(TraceReader trace) {
    RouteCounter counter = new RouteCounter(trace.shape());
    for (Optional<RoutingTrace> batch = trace.next(); batch.isPresent(); batch = trace.next()) {
      counter.add(batch.get());
    }

    return counter.counts();
  }

  /**
   * Counts what a plan asks for, of a whole trace; does not close the reader.
   *
   * @throws io.expertatlas.trace.TraceFormatException if the trace is broken
   */
  public static TraceAnalysis analyze(TraceReader trace, AnalysisPlan plan) {
    AnalysisCounter counter = new AnalysisCounter(trace.shape(), plan, 0);
    long read = 0;
    for (Optional<RoutingTrace> batch = trace.next(); batch.isPresent(); batch = trace.next()) {
      counter.add(read, batch.get(), sequence -> true);
      read += batch.get().tokens();
    }

    return counter.finish();
  }
}
