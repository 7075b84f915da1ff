package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.format.BlockCursor.Step;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Function;

/** Reads a range of the tokens of a dump in blocks, a part of a block at a time. */
abstract sealed class BlockReader permits BlockTraceReader, BlockStatesReader {
  private final RouteBlocks blocks;
  private final BlockCursor cursor;

  /**
   * Takes over the blocks, and closes them if they cannot be started.
   *
   * @param maxBatch largest number of tokens read at once
   */
  BlockReader(RouteBlocks blocks, TokenRange range, long maxBatch) {
    this.blocks = blocks;
    this.cursor =
        new BlockCursor(
            blocks.blockTokens(), range, (int) Math.min(DumpReader.BATCH_TOKENS, maxBatch));
    if (!cursor.isAtEnd()) {
      try {
        blocks.start(cursor.first());
      } catch (RuntimeException e) {
        blocks.close();
        throw e;
      }
    }
  }

  /** The blocks that are read. */
  final RouteBlocks blocks() {
    return blocks;
  }

  /** Reads the next part of a block, if the range has one. */
  final <T> Optional<T> read(Function<Step, T> part) {
    return cursor.advance().map(part);
  }

  /** The shape of the traced model. */
  public final ModelShape shape() {
    return blocks.shape();
  }

  /** Number of tokens in the whole dump. */
  public final long tokens() {
    return Arrays.stream(blocks.blockTokens()).sum();
  }

  /** Closes the blocks. */
  public final void close() {
    blocks.close();
  }
}
