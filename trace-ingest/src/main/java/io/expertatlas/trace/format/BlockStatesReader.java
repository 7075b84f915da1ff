package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.Arrays;
import java.util.Optional;

/** Reads a dump in blocks with its router states. */
final class BlockStatesReader implements RouterStatesReader {
  private static final int BATCH_VALUES = 1 << 22; // 16 MB

  private final RouteBlocks blocks;
  private final BlockCursor cursor;

  /** Takes over the blocks. */
  BlockStatesReader(RouteBlocks blocks, TokenRange range) {
    this.blocks = blocks;
    long scores = blocks.scores() == Scores.NONE ? 0 : blocks.shape().experts();
    long values = blocks.shape().layers() * (blocks.hiddenSize() + scores);
    this.cursor =
        new BlockCursor(
            blocks.blockTokens(),
            range,
            (int) Math.min(DumpReader.BATCH_TOKENS, BATCH_VALUES / Math.max(1, values)));
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
  public int hiddenSize() {
    return blocks.hiddenSize();
  }

  @Override
  public Scores scores() {
    return blocks.scores();
  }

  @Override
  public Optional<RouterStates> next() {
    return cursor.advance().map(step -> blocks.states(step.block(), step.from(), step.count()));
  }

  @Override
  public void close() {
    blocks.close();
  }
}
