package io.expertatlas.runtime.model;

import io.expertatlas.runtime.HostCopy;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import io.expertatlas.runtime.pipeline.DemandLoader;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;

/**
 * Which of a rank's experts are on which slot of its device, and which are copied when. Experts are
 * numbers from 0, those of all layers. The queue is APTMoE's ({@link DemandLoader}): what a router
 * asks for goes before what was foretold, a copy under way is never interrupted.
 *
 * <p>Of foretold experts one copy is under way at most, so that a real need waits for no more than
 * one that it does not want.
 */
final class ExpertSlots {
  static final int NOBODY = -1;

  private static final int DEMANDED = 0;
  private static final int AHEAD = 1;

  private final Offload offload;
  private final Link link;
  private final DemandLoader loader;
  private final int[] owner; // [slot]: the expert in it or on its way to it, or NOBODY
  private final int[] slot; // [expert], or NOBODY
  private final int[] kept; // [expert]: the slot that its foretold copy will take, or NOBODY
  private final boolean[] needed; // [expert]: by the layer at work
  private final boolean[] foretold; // [expert]: of the layer behind it
  private final boolean[] fresh; // [expert]: fetched ahead, for the router that speaks next
  private final boolean[] unused; // [expert]: fetched ahead, and not needed since
  private final long[] uses; // [expert]
  private final long[] lastUse; // [expert]
  private final Deque<Copying> underWay = new ArrayDeque<>();
  private int waiting;
  private int aheadUnderWay;
  private long clock;
  private long hits;
  private long ahead;
  private long arrived;
  private long loads;
  private long wasted;
  private long bytes;

  /** Copies experts. */
  @FunctionalInterface
  interface Link {
    /**
     * Begins to copy an expert to a slot.
     *
     * @param isAhead whether no operation that was called already uses the slot
     */
    HostCopy begin(int expert, int slot, boolean isAhead);
  }

  private record Copying(int expert, HostCopy copy, boolean isAhead) {}

  /**
   * All slots are empty.
   *
   * @param expertBytes of an expert
   */
  ExpertSlots(int experts, long expertBytes, Offload offload, Link link) {
    this.offload = offload;
    this.link =
        (expert, into, isAhead) -> {
          bytes += expertBytes;
          return link.begin(expert, into, isAhead);
        };
    this.loader = new DemandLoader(experts, DemandLoader.OUTSTANDING);
    this.owner = new int[offload.slots()];
    this.slot = new int[experts];
    this.kept = new int[experts];
    this.needed = new boolean[experts];
    this.foretold = new boolean[experts];
    this.fresh = new boolean[experts];
    this.unused = new boolean[experts];
    this.uses = new long[experts];
    this.lastUse = new long[experts];
    Arrays.fill(owner, NOBODY);
    Arrays.fill(slot, NOBODY);
    Arrays.fill(kept, NOBODY);
  }

  /** The slot of an expert, also of one on its way there, or NOBODY. */
  int slot(int expert) {
    return slot[expert];
  }

  /**
   * A router has spoken. What was foretold of its layer and is under way or there counts as such;
   * the rest is given up, or asked for now. Behind {@link #join}, operations find the experts on
   * their slots.
   *
   * @param experts that operations called next need, at most as many as there are slots
   * @param next what is foretold of the layer behind: leaves last
   */
  void need(int[] experts, int[] next) {
    endCopies();
    Arrays.fill(needed, false);
    Arrays.fill(foretold, false);
    for (int expert : next) {
      foretold[expert] = true;
    }

    for (int expert : experts) {
      needed[expert] = true;
    }

    giveUp();
    for (int expert : experts) {
      count(expert);
      uses[expert]++;
      lastUse[expert] = ++clock;
    }

    beginDemanded();
  }

  /** Operations that are called from now on wait for the experts that they need. */
  void join() {
    for (Copying one : underWay) {
      if (needed[one.expert()]) {
        one.copy().join();
      }
    }
  }

  /** What still waits was foretold of the layer at work, too late. */
  private void giveUp() {
    for (int expert = 0; expert < kept.length; expert++) {
      if (kept[expert] != NOBODY) {
        loader.cancel(expert, AHEAD);
        kept[expert] = NOBODY;
      }
    }

    waiting = 0;
  }

  private void count(int expert) {
    if (loader.isResident(expert)) {
      if (fresh[expert]) {
        ahead++;
        arrived++;
      } else {
        hits++;
      }
    } else if (loader.isCopying(expert)) {
      ahead++;
    } else {
      loads++;
      waiting++;
      loader.push(expert, DEMANDED);
    }

    fresh[expert] = false;
    unused[expert] = false;
  }

  private void beginDemanded() {
    while (waiting > 0) {
      int expert = loader.next();
      if (expert == NOBODY) {
        endOldest();
      } else {
        waiting--;
        begin(expert, slotToTake(), false);
      }
    }
  }

  /**
   * Says what the next layer will need; called after {@link #need}, which was told the same. Takes
   * slots of experts that neither this layer needs nor the next, as far as there are.
   *
   * @param next most wanted first
   */
  void foretell(int[] next) {
    Arrays.fill(fresh, false);
    boolean[] taken = new boolean[owner.length];
    for (int expert : next) {
      if (slot[expert] == NOBODY) {
        int best = freeSlot(taken);
        if (best == NOBODY) {
          break;
        }

        taken[best] = true;
        kept[expert] = best;
        waiting++;
        loader.push(expert, AHEAD);
      }
    }

    pump();
  }

  /** Whether a foretold expert waits for its copy to begin. */
  boolean isWaiting() {
    return waiting > 0;
  }

  /** Begins what can begin. */
  void pump() {
    endCopies();
    while (waiting > 0 && aheadUnderWay == 0) {
      int expert = loader.next();
      if (expert == NOBODY) {
        return;
      }

      waiting--;
      fresh[expert] = true;
      unused[expert] = true;
      begin(expert, kept[expert], true);
      kept[expert] = NOBODY;
      endCopies();
    }
  }

  private void begin(int expert, int into, boolean isAhead) {
    int before = owner[into];
    if (before != NOBODY) {
      loader.drop(before);
      slot[before] = NOBODY;
      wasted += unused[before] ? 1 : 0;
      unused[before] = false;
    }

    owner[into] = expert;
    slot[expert] = into;
    underWay.add(new Copying(expert, link.begin(expert, into, isAhead), isAhead));
    aheadUnderWay += isAhead ? 1 : 0;
  }

  private void endOldest() {
    underWay.getFirst().copy().await();
    endCopies();
  }

  private void endCopies() {
    while (!underWay.isEmpty() && underWay.getFirst().copy().isDone()) {
      Copying one = underWay.removeFirst();
      one.copy().close();
      loader.completed(one.expert());
      aheadUnderWay -= one.isAhead() ? 1 : 0;
    }
  }

  /**
   * A slot for what must come: if all others are needed, that of a copy under way, once it ends.
   */
  private int slotToTake() {
    int best = freeSlot(new boolean[owner.length]);
    while (best == NOBODY) {
      best = bestOf(new boolean[owner.length], true);
      if (best == NOBODY) {
        endOldest();
        best = freeSlot(new boolean[owner.length]);
      }
    }

    return best;
  }

  /** The slot of the expert that leaves, of those that are neither needed nor foretold. */
  private int freeSlot(boolean[] taken) {
    return bestOf(taken, false);
  }

  private int bestOf(boolean[] taken, boolean alsoForetold) {
    int best = NOBODY;
    for (int at = 0; at < owner.length; at++) {
      int expert = owner[at];
      if (taken[at]) {
        continue;
      }

      if (expert == NOBODY) {
        return at;
      }

      if (!needed[expert]
          && !loader.isCopying(expert)
          && (alsoForetold || !foretold[expert])
          && (best == NOBODY || leavesBefore(expert, owner[best]))) {
        best = at;
      }
    }

    return best;
  }

  private boolean leavesBefore(int one, int other) {
    if (offload.eviction() == Eviction.LRU) {
      return lastUse[one] < lastUse[other];
    }

    return uses[one] != uses[other] ? uses[one] < uses[other] : lastUse[one] > lastUse[other];
  }

  /** What it cost so far. */
  Offload.Use use() {
    return new Offload.Use(hits, ahead, arrived, loads, wasted, bytes);
  }
}
