package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceReader;
import java.util.Arrays;
import java.util.Optional;

/** Reads the routes of a dump in blocks. */
final class BlockTraceReader implements TraceReader {
  private static final int BATCH_VALUES = 1 << 20;

  private final RouteBlocks blocks;
  private final BlockCursor cursor;

  /**
   * Takes over the blocks.
   *
   * @param valuesOfToken values that are read for each token
   */
  BlockTraceReader(RouteBlocks blocks, TokenRange range, int valuesOfToken) {
    this.blocks = blocks;
    this.cursor =
        new BlockCursor(
            blocks.blockTokens(),
            range,
            Math.min(DumpReader.BATCH_TOKENS, BATCH_VALUES / Math.max(1, valuesOfToken)));
    if (!cursor.isAtEnd()) {
      blocks.start(cursor.first());
    }
  }

  @Override
  public ModelShape shape() {
    return blocks.shape();
  }

  @Override
  public long tokens() {
    return Arrays.stream(blocks.blockTokens()).sum();
  }

  @Override
  public boolean hasWeights() {
    return blocks.hasWeights();
  }

  @Override
  public Optional<RoutingTrace> next() {
    return cursor.advance().map(step -> blocks.routes(step.block(), step.from(), step.count()));
  }

  @Override
  public void close() {
    blocks.close();
  }
}
