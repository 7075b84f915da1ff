package io.expertatlas.runtime.pipeline;

import java.util.Arrays;

/**
 * Which block a device copies next, and which are there (APTMoE's demand-priority queue). Priority
 * 0 is inter-expert, 1 inter-layer, 2 inter-stage; the lowest goes first, a copy under way is never
 * interrupted. {@link #push} and {@link #cancel} may be repeated: they depend on the block alone.
 *
 * <p>It has no clock: whoever copies asks {@link #next} for a block, and tells {@link #completed}
 * when it is there. Blocks are numbers from 0. Not safe for several threads: an executor calls it
 * under its own lock.
 */
public final class DemandLoader {
  /** Copies that may be under way at once: one runs, one is ready behind it. */
  public static final int OUTSTANDING = 2;

  private enum Place {
    HOST,
    COPYING,
    DEVICE
  }

  private final DemandQueue queue;
  private final Place[] place; // [block]
  private final boolean[] evictable; // [block]
  private final int mostOutstanding;
  private int outstanding;

  /**
   * An empty device.
   *
   * @param mostOutstanding copies that may be under way at once
   */
  public DemandLoader(int blocks, int mostOutstanding) {
    if (mostOutstanding < 1) {
      throw new IllegalArgumentException(
          "Invalid number of outstanding copies: %d, at least 1".formatted(mostOutstanding));
    }

    this.queue = new DemandQueue(blocks);
    this.place = new Place[blocks];
    this.evictable = new boolean[blocks];
    this.mostOutstanding = mostOutstanding;
    Arrays.fill(place, Place.HOST);
  }

  /** Asks for a block, or for more haste; nothing changes for one that is there or under way. */
  public void push(int block, int priority) {
    evictable[block] = false;
    if (place[block] == Place.HOST) {
      queue.push(block, priority);
    }
  }

  /**
   * Gives a block up: it leaves its queue; if it is under way, it may be evicted once it is there.
   */
  public void cancel(int block) {
    queue.remove(block);
    evictable[block] |= place[block] == Place.COPYING;
  }

  /** Takes a block out of one queue, if it waits there. */
  public void cancel(int block, int priority) {
    if (queue.priority(block) == priority) {
      queue.remove(block);
    }
  }

  /** The block to copy now, or -1 if none waits or as many as allowed are under way. */
  public int next() {
    if (outstanding == mostOutstanding) {
      return -1;
    }

    int block = queue.poll();
    if (block >= 0) {
      place[block] = Place.COPYING;
      outstanding++;
    }

    return block;
  }

  /**
   * A copy has ended.
   *
   * @throws IllegalStateException if the block was not under way
   */
  public void completed(int block) {
    if (place[block] != Place.COPYING) {
      throw new IllegalStateException(
          "Cannot complete the copy of block %d: it is on %s".formatted(block, place[block]));
    }

    place[block] = Place.DEVICE;
    outstanding--;
  }

  /**
   * Forgets a block's copy on the device.
   *
   * @return whether there was one
   * @throws IllegalStateException if it is under way
   */
  public boolean drop(int block) {
    if (place[block] == Place.COPYING) {
      throw new IllegalStateException(
          "Cannot drop block %d: its copy is under way".formatted(block));
    }

    queue.remove(block);
    evictable[block] = false;
    boolean held = place[block] == Place.DEVICE;
    place[block] = Place.HOST;
    return held;
  }

  /** Whether a block is on the device. */
  public boolean isResident(int block) {
    return place[block] == Place.DEVICE;
  }

  /** Whether a block's copy is under way. */
  public boolean isCopying(int block) {
    return place[block] == Place.COPYING;
  }

  /** Whether a block waits in a queue. */
  public boolean isQueued(int block) {
    return queue.priority(block) >= 0;
  }

  /** Whether a block was given up while its copy was under way, and not asked for since. */
  public boolean isEvictable(int block) {
    return evictable[block];
  }

  /** Copies under way. */
  public int outstanding() {
    return outstanding;
  }
}
