package io.expertatlas.trace.format;

import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.Arrays;
import java.util.Optional;

/** Walks over a range of tokens in blocks, at most so many at a time. */
final class BlockCursor {
  private final long[] blockTokens;
  private final int maxBatch;
  private final long to;
  private long next; // token of the dump
  private int block;
  private long inBlock;

  BlockCursor(long[] blockTokens, TokenRange range, int maxBatch) {
    this.blockTokens = blockTokens;
    this.maxBatch = Math.max(1, maxBatch);
    long all = Arrays.stream(blockTokens).sum();
    this.to = Math.min(range.to(), all);
    this.next = Math.min(range.from(), to);
    this.inBlock = next;
    while (block < blockTokens.length && inBlock >= blockTokens[block]) {
      inBlock -= blockTokens[block++];
    }
  }

  /** Tokens of a part of a block. */
  record Step(int block, long from, int count) {}

  /** The first token that will be read, counted in the dump. */
  long first() {
    return next;
  }

  boolean isAtEnd() {
    return next >= to;
  }

  Optional<Step> advance() {
    if (isAtEnd()) {
      return Optional.empty();
    }

    while (inBlock == blockTokens[block]) {
      inBlock = 0;
      block++;
    }

    int count = (int) Math.min(Math.min(maxBatch, to - next), blockTokens[block] - inBlock);
    Step step = new Step(block, inBlock, count);
    next += count;
    inBlock += count;
    return Optional.of(step);
  }
}
