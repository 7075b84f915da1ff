package io.expertatlas.runtime.cli;

import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.Optional;

/** How often a trace chose each expert. */
final class PopularityTrace {
  private PopularityTrace() {}

  /**
   * Counts all choices, {@code [layer][expert]}.
   *
   * @param experts of each layer, as the model has them
   * @throws TraceFormatException if the trace cannot be read, has other experts or no token
   */
  static long[][] choices(Path trace, int experts) {
    try (TraceReader reader =
        TraceFormat.openTrace(TraceSource.of(trace).withExperts(experts), TokenSelection.ALL)) {
      long[][] choices = new long[reader.shape().layers()][experts];
      long tokens = 0;
      for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
        RoutingTrace batch = next.get();
        tokens += batch.tokens();
        for (int token = 0; token < batch.tokens(); token++) {
          for (int layer = 0; layer < choices.length; layer++) {
            for (int rank = 0; rank < reader.shape().topK(); rank++) {
              choices[layer][batch.expert(token, layer, rank)]++;
            }
          }
        }
      }

      if (tokens == 0) {
        throw new TraceFormatException("it has no token");
      }

      return choices;
    } catch (TraceFormatException e) {
      throw new TraceFormatException(
          "Cannot take the popularity of %d experts from %s: %s"
              .formatted(experts, trace, e.getMessage()),
          e);
    }
  }
}
