package io.expertatlas.trace.format;

import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.Optional;

/** Reads a dump in blocks with its router states. */
final class BlockStatesReader extends BlockReader implements RouterStatesReader {
  private static final int BATCH_VALUES = 1 << 22; // 16 MB

  /** Takes over the blocks. */
  BlockStatesReader(RouteBlocks blocks, TokenRange range) {
    super(blocks, range, BATCH_VALUES / Math.max(1, valuesOfToken(blocks)));
  }

  private static long valuesOfToken(RouteBlocks blocks) {
    long scores = blocks.scores() == Scores.NONE ? 0 : blocks.shape().experts();
    return blocks.shape().layers() * (blocks.hiddenSize() + scores);
  }

  @Override
  public int hiddenSize() {
    return blocks().hiddenSize();
  }

  @Override
  public Scores scores() {
    return blocks().scores();
  }

  @Override
  public Optional<RouterStates> next() {
    return read(step -> blocks().states(step.block(), step.from(), step.count()));
  }
}
