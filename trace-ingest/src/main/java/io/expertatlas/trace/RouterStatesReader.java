package io.expertatlas.trace;

import java.util.Optional;

/**
 * Reads tokens with their router states, a batch at a time, in memory that does not grow with the
 * trace. Not safe for several threads.
 *
 * <p>Every batch has been checked: routes as by {@link TraceReader}, states finite. What is wrong
 * is thrown as {@link TraceFormatException} when it is met, with its place in the file.
 */
public interface RouterStatesReader extends AutoCloseable {
  /** The shape of the traced model. */
  ModelShape shape();

  /** Number of tokens in the whole trace, whatever range of it is read. */
  long tokens();

  /** Length of a hidden state; 0: there are none. */
  int hiddenSize();

  /** What the scores are. */
  RouterStates.Scores scores();

  /** The name of the traced model, and of its stack if it has two; empty: not recorded. */
  default String model() {
    return "";
  }

  /** The next tokens, at least one, or empty at the end. */
  Optional<RouterStates> next();

  @Override
  void close();
}
