package io.expertatlas.runtime.model;

import io.expertatlas.runtime.HostCopy;
import java.util.ArrayDeque;
import java.util.Deque;

/** An expert on its way to a slot, in pieces that end in the order in which they are begun. */
final class ExpertCopy {
  private final int expert;
  private final int into;
  private final boolean isAhead;
  private final int pieces;
  private final ExpertSlots.Link link;
  private final Deque<HostCopy> copies = new ArrayDeque<>(); // those not done
  private final Deque<Integer> counts = new ArrayDeque<>(); // pieces of each of these
  private int begun;
  private int ended;

  /**
   * Nothing is begun yet.
   *
   * @param isAhead whether no operation that was called already uses the slot
   * @param pieces of an expert
   */
  ExpertCopy(int expert, int into, boolean isAhead, int pieces, ExpertSlots.Link link) {
    this.expert = expert;
    this.into = into;
    this.isAhead = isAhead;
    this.pieces = pieces;
    this.link = link;
  }

  int expert() {
    return expert;
  }

  /** The slot. */
  int into() {
    return into;
  }

  boolean isAhead() {
    return isAhead;
  }

  private void begin(int count) {
    copies.add(link.begin(expert, into, begun, begun + count, isAhead));
    counts.add(count);
    begun += count;
  }

  /** Whether all of it is begun. */
  boolean isBegun() {
    return begun == pieces;
  }

  /** Begins so many more pieces, as far as there are. */
  void beginMore(int count) {
    for (int i = 0; i < count && !isBegun(); i++) {
      begin(1);
    }
  }

  /** Begins what is left, as one. */
  void finish() {
    if (!isBegun()) {
      begin(pieces - begun);
    }
  }

  /** Begins the next pieces, until so many are under way. */
  void advance(int mostUnderWay) {
    endPieces();
    while (!isBegun() && copies.size() < mostUnderWay) {
      begin(1);
      endPieces();
    }
  }

  /** What has not ended, of 1. */
  double left() {
    endPieces();
    return (double) (pieces - ended) / pieces;
  }

  boolean isDone() {
    endPieces();
    return isBegun() && copies.isEmpty();
  }

  private void endPieces() {
    end(copies);
    while (counts.size() > copies.size()) {
      ended += counts.removeFirst();
    }
  }

  /** Closes what has ended of copies in their order. */
  static void end(Deque<HostCopy> copies) {
    while (!copies.isEmpty() && copies.getFirst().isDone()) {
      copies.removeFirst().close();
    }
  }

  /** Operations that are called from now on wait for what is begun. */
  void join() {
    if (!copies.isEmpty()) {
      copies.getLast().join();
    }
  }

  /** Waits for what is begun. */
  void await() {
    if (!copies.isEmpty()) {
      copies.getLast().await();
    }
  }

  /** Nobody wants it any more: what is under way goes on. */
  Deque<HostCopy> giveUp() {
    return copies;
  }
}
