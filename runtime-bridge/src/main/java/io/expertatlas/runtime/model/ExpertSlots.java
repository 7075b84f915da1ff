package io.expertatlas.runtime.model;

import io.expertatlas.runtime.HostCopy;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import io.expertatlas.runtime.pipeline.DemandLoader;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;

/**
 * Which of a rank's experts are on which slot of its device, and which are copied when. Experts are
 * numbers from 0, those of all layers. The queue is APTMoE's ({@link DemandLoader}): what a router
 * asks for goes before what was foretold, a copy under way is never interrupted.
 *
 * <p>A foretold expert is copied in pieces, of which two are under way at most: one runs, one is
 * ready behind it. When a router does not want it, the other pieces are given up, and its slot is
 * empty. So a real need waits for two pieces at most that it does not want.
 *
 * <p>While the CPU computes experts and the link has nothing to do, one of them that would stay
 * longer than another comes to its slot: in as many pieces as the link has time for, the others
 * with the next such layer.
 */
final class ExpertSlots {
  static final int NOBODY = -1;

  private static final int DEMANDED = 0;
  private static final int AHEAD = 1;
  private static final int PIECES_UNDER_WAY = 2;

  private final Offload offload;
  private final long[] pieceBytes; // [piece of an expert]
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
  private final Deque<ExpertCopy> underWay = new ArrayDeque<>();
  private final Deque<HostCopy> givenUp = new ArrayDeque<>(); // pieces under way of what was
  private int waiting;
  private int aheadUnderWay;
  private long clock;
  private long hits;
  private long ahead;
  private long arrived;
  private long loads;
  private long wasted;
  private long bytes;
  private long onCpu;
  private ExpertCopy admitted; // on its way beside the CPU's work; null: none

  /** Copies experts. */
  @FunctionalInterface
  interface Link {
    /**
     * Begins to copy pieces of an expert to a slot.
     *
     * @param from the first piece
     * @param to behind the last piece
     * @param isAhead whether no operation that was called already uses the slot
     */
    HostCopy begin(int expert, int slot, int from, int to, boolean isAhead);
  }

  /**
   * All slots are empty.
   *
   * @param pieceBytes of each piece of an expert
   */
  ExpertSlots(int experts, long[] pieceBytes, Offload offload, Link link) {
    this.offload = offload;
    this.pieceBytes = pieceBytes.clone();
    this.link = link;
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

  /** Slots that are empty. */
  int free() {
    int free = 0;
    for (int at = 0; at < owner.length; at++) {
      free += owner[at] == NOBODY && !isReserved(at) ? 1 : 0;
    }

    return free;
  }

  /** What is left to copy of an expert that is on its way to its slot, of 1; 0 if it is there. */
  double left(int expert) {
    for (ExpertCopy one : underWay) {
      if (one.expert() == expert) {
        return one.left();
      }
    }

    return 0;
  }

  /** Takes note of what has ended; called before it is asked which experts are on slots. */
  void settle() {
    endCopies();
    ExpertCopy.end(givenUp);
    if (admitted != null && admitted.isDone()) {
      int expert = admitted.expert();
      loader.push(expert, DEMANDED);
      if (loader.next() == expert) {
        loader.completed(expert);
        owner[admitted.into()] = expert;
        slot[expert] = admitted.into();
        admitted = null;
      } else {
        loader.cancel(expert); // the loader follows two copies already
      }
    }
  }

  /** Experts of the layer at work that the CPU computes; called after {@link #need}. */
  void compute(int[] experts) {
    for (int expert : experts) {
      onCpu++;
      uses[expert]++;
      lastUse[expert] = ++clock;
    }
  }

  /**
   * Gives the link work while the CPU computes: more of a foretold expert under way, or of one that
   * is being admitted, or else of the most used of the CPU's that deserves a slot more than who has
   * it; called last for a layer.
   *
   * @param computed by the CPU
   * @param pieces that the link has time for
   */
  void admit(int[] computed, int pieces) {
    if (waiting > 0 || (!underWay.isEmpty() && !underWay.getLast().isBegun())) {
      if (!underWay.isEmpty()) {
        underWay.getLast().beginMore(pieces);
      }

      return;
    }

    if (admitted == null && pieces > 0) {
      choose(computed);
    }

    if (admitted != null) {
      admitted.beginMore(pieces);
    }
  }

  private void choose(int[] computed) {
    int best = NOBODY;
    for (int expert : computed) {
      if (slot[expert] == NOBODY && (best == NOBODY || uses[expert] > uses[best])) {
        best = expert;
      }
    }

    int into = freeSlot(new boolean[owner.length]);
    if (best == NOBODY || into == NOBODY) {
      return;
    }

    int before = owner[into];
    if (before == NOBODY || leavesBefore(before, best)) {
      if (before != NOBODY) {
        leave(before);
      }

      owner[into] = NOBODY;
      admitted = copy(best, into, true);
    }
  }

  private boolean isReserved(int at) {
    return admitted != null && admitted.into() == at;
  }

  /** Its slot is empty; pieces under way end before what comes there next. */
  private void giveUpAdmitted() {
    givenUp.addAll(admitted.giveUp());
    admitted = null;
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
    for (ExpertCopy one : underWay) {
      if (needed[one.expert()]) {
        one.join();
      }
    }
  }

  /**
   * What still waits was foretold of the layer at work, too late; what is under way and wanted
   * comes first now.
   */
  private void giveUp() {
    for (ExpertCopy one : List.copyOf(underWay)) {
      if (needed[one.expert()]) {
        one.finish();
      } else if (!one.isBegun()) {
        givenUp.addAll(one.giveUp());
        end(one);
        owner[one.into()] = NOBODY;
        leave(one.expert());
      }
    }

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
      if (slot[expert] == NOBODY && (admitted == null || admitted.expert() != expert)) {
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

  /** Whether something of a foretold expert waits for its copy to begin. */
  boolean isWaiting() {
    return waiting > 0 || (!underWay.isEmpty() && !underWay.getLast().isBegun());
  }

  /** Begins what can begin. */
  void pump() {
    advance();
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
      advance();
    }
  }

  private void advance() {
    if (!underWay.isEmpty()) {
      ExpertCopy.end(givenUp);
      underWay
          .getLast()
          .advance(
              PIECES_UNDER_WAY - givenUp.size()); // a foretold one is behind those that were needed
    }

    endCopies();
  }

  private void begin(int expert, int into, boolean isAhead) {
    if (admitted != null && admitted.expert() == expert) {
      giveUpAdmitted();
    }

    int before = owner[into];
    if (before != NOBODY) {
      leave(before);
    }

    owner[into] = expert;
    slot[expert] = into;
    ExpertCopy one = copy(expert, into, isAhead);
    underWay.add(one);
    aheadUnderWay += isAhead ? 1 : 0;
    if (!isAhead) {
      one.finish();
    }
  }

  private ExpertCopy copy(int expert, int into, boolean isAhead) {
    return new ExpertCopy(expert, into, isAhead, pieceBytes.length, this::begin);
  }

  private HostCopy begin(int expert, int into, int from, int to, boolean isAhead) {
    for (int piece = from; piece < to; piece++) {
      bytes += pieceBytes[piece];
    }

    return link.begin(expert, into, from, to, isAhead);
  }

  /** An expert is on no slot any more. */
  private void leave(int expert) {
    loader.drop(expert);
    slot[expert] = NOBODY;
    wasted += unused[expert] ? 1 : 0;
    unused[expert] = false;
  }

  private void endOldest() {
    underWay.getFirst().await();
    endCopies();
  }

  private void endCopies() {
    while (!underWay.isEmpty() && underWay.getFirst().isDone()) {
      end(underWay.getFirst());
    }
  }

  private void end(ExpertCopy one) {
    underWay.remove(one);
    loader.completed(one.expert());
    aheadUnderWay -= one.isAhead() ? 1 : 0;
  }

  /**
   * A slot for what must come: if all others are needed, that of a copy under way, once it ends.
   */
  private int slotToTake() {
    int best = freeSlot(new boolean[owner.length]);
    while (best == NOBODY) {
      best = bestOf(new boolean[owner.length], true);
      if (best == NOBODY && admitted != null) {
        best = admitted.into();
        giveUpAdmitted();
      } else if (best == NOBODY) {
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
      if (taken[at] || isReserved(at)) {
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
    return new Offload.Use(hits, ahead, arrived, loads, wasted, bytes, onCpu);
  }
}
