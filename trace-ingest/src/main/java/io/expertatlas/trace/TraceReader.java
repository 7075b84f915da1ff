package io.expertatlas.trace;

import java.util.Optional;

/**
 * Reads a trace from its first to its last token, a batch at a time, in memory that does not grow
 * with the trace. Not safe for several threads.
 *
 * <p>Every batch has been checked: ids in range, top-k distinct. What is wrong is thrown as {@link
 * TraceFormatException} when it is met, with its place in the file.
 */
public interface TraceReader extends AutoCloseable {
  /** The shape of the traced model. */
  ModelShape shape();

  /** Number of tokens in the whole trace, whatever range or selection of it is read. */
  long tokens();

  /** Whether every batch has router weights. */
  boolean hasWeights();

  /** The next tokens, at least one, or empty at the end. */
  Optional<RoutingTrace> next();

  @Override
  void close();
}
