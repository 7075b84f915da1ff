package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RoutingTrace;

/**
 * A dump that keeps its tokens in blocks: a request, a step of a rank, a file. How many tokens each
 * has is known once it is open; any part of a block can be read. Tokens are in block order.
 */
interface RouteBlocks extends AutoCloseable {
  ModelShape shape();

  /** Tokens of each block. */
  long[] blockTokens();

  /** Whether routes have router weights. */
  default boolean hasWeights() {
    return false;
  }

  /** Told once, before the first read: the first token of the dump that will be read. */
  default void start(long token) {}

  /** Reads tokens of a block, {@code from} counted in it. Reads go forward. */
  RoutingTrace routes(int block, long from, int count);

  /** Length of a hidden state; 0: there are none. */
  default int hiddenSize() {
    return 0;
  }

  /** What the scores are. */
  default Scores scores() {
    return Scores.NONE;
  }

  /** Reads tokens of a block with their states; only if there are any. */
  default RouterStates states(int block, long from, int count) {
    throw new UnsupportedOperationException("No router states");
  }

  @Override
  void close();
}
