package io.expertatlas.trace.format;

import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceReader;
import java.util.Optional;

/** Reads the routes of a dump in blocks. */
final class BlockTraceReader extends BlockReader implements TraceReader {
  private static final int BATCH_VALUES = 1 << 20;

  /**
   * Takes over the blocks.
   *
   * @param valuesOfToken values that are read for each token
   */
  BlockTraceReader(RouteBlocks blocks, TokenRange range, int valuesOfToken) {
    super(blocks, range, BATCH_VALUES / Math.max(1, valuesOfToken));
  }

  @Override
  public boolean hasWeights() {
    return blocks().hasWeights();
  }

  @Override
  public Optional<RoutingTrace> next() {
    return read(step -> blocks().routes(step.block(), step.from(), step.count()));
  }
}
