package io.expertatlas.runtime.pipeline;

import java.util.Arrays;

/**
 * Blocks that wait to be copied, in three queues: the lowest number first, first in first out
 * within one. A block waits at most once. Blocks are numbers from 0. Not safe for several threads.
 */
final class DemandQueue {
  static final int PRIORITIES = 3;

  private static final byte ABSENT = -1;

  private final int blocks;
  private final int[] next; // [block, then head of each queue] a ring for each queue
  private final int[] previous;
  private final byte[] priority; // [block]

  DemandQueue(int blocks) {
    this.blocks = blocks;
    this.next = new int[blocks + PRIORITIES];
    this.previous = new int[blocks + PRIORITIES];
    this.priority = new byte[blocks];
    clear();
  }

  void clear() {
    Arrays.fill(priority, ABSENT);
    for (int head = blocks; head < next.length; head++) {
      next[head] = head;
      previous[head] = head;
    }
  }

  /** Adds a block at the end of a queue, or moves it there if it waits in a later one. */
  void push(int block, int to) {
    if (priority[block] != ABSENT && priority[block] <= to) {
      return;
    }

    remove(block);
    int head = blocks + to;
    next[block] = head;
    previous[block] = previous[head];
    next[previous[head]] = block;
    previous[head] = block;
    priority[block] = (byte) to;
  }

  /** Takes a block out, wherever it waits. */
  void remove(int block) {
    if (priority[block] != ABSENT) {
      next[previous[block]] = next[block];
      previous[next[block]] = previous[block];
      priority[block] = ABSENT;
    }
  }

  /** The queue of a block, or -1. */
  int priority(int block) {
    return priority[block];
  }

  /** The next block, taken out, or -1. */
  int poll() {
    for (int head = blocks; head < next.length; head++) {
      if (next[head] != head) {
        int block = next[head];
        remove(block);
        return block;
      }
    }

    return -1;
  }
}
