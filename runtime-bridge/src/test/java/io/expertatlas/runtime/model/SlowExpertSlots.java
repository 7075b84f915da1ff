package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The twin of {@link ExpertSlots}: the same rules, walked on lists. It has a clock, and a link on
 * which every piece takes the same time.
 */
final class SlowExpertSlots {
  private final Offload offload;
  private final int pieces;
  private final long pieceTime;
  private final List<Integer> slots = new ArrayList<>(); // expert of each slot, -1: none
  private final List<Copy> flying = new ArrayList<>();
  private final List<Integer> queue = new ArrayList<>(); // foretold ones, not begun
  private final List<Integer> queueSlots = new ArrayList<>();
  private final List<Integer> uses = new ArrayList<>(); // one entry a use
  private final List<Integer> fresh = new ArrayList<>();
  private final List<Integer> unused = new ArrayList<>();
  private List<Integer> needed = List.of();
  private List<Integer> foretold = List.of();
  private final List<Long> strays = new ArrayList<>(); // ends of pieces of experts given up
  private long linkFree;
  long now;
  private long hits;
  private long ahead;
  private long arrived;
  private long loads;
  private long wasted;
  private long copied; // pieces
  private long onCpu;
  private int admitted = -1; // expert on its way beside the CPU's work
  private int admittedSlot = -1;
  private List<Long> admittedEnds = new ArrayList<>(); // of its pieces

  /** Ends of pieces, and when it is known of each: when those begun with it have ended. */
  private record Copy(int expert, boolean isAhead, List<Long> ends, List<Long> known) {}

  SlowExpertSlots(Offload offload, int pieces, long pieceTime) {
    this.offload = offload;
    this.pieces = pieces;
    this.pieceTime = pieceTime;
    for (int slot = 0; slot < offload.slots(); slot++) {
      slots.add(-1);
    }
  }

  int slot(int expert) {
    return slots.indexOf(expert);
  }

  int free() {
    int free = 0;
    for (int at = 0; at < slots.size(); at++) {
      free += slots.get(at) == -1 && at != admittedSlot ? 1 : 0;
    }

    return free;
  }

  double left(int expert) {
    for (Copy copy : flying) {
      if (copy.expert() == expert) {
        long done = copy.known().stream().filter(end -> end <= now).count();
        return (pieces - done) / (double) pieces;
      }
    }

    return 0;
  }

  void settle() {
    land();
    if (admitted >= 0
        && admittedEnds.size() == pieces
        && admittedEnds.get(pieces - 1) <= now
        && flying.size() < 2) {
      slots.set(admittedSlot, admitted);
      endAdmission(List.of());
    }
  }

  private void endAdmission(List<Long> stillFlying) {
    strays.addAll(stillFlying);
    admitted = -1;
    admittedSlot = -1;
    admittedEnds = new ArrayList<>();
  }

  void compute(List<Integer> experts) {
    uses.addAll(experts);
    onCpu += experts.size();
  }

  void admit(List<Integer> computed, int morePieces) {
    boolean isForetoldFlying =
        !flying.isEmpty() && flying.get(flying.size() - 1).ends().size() < pieces;
    if (isForetoldFlying) {
      Copy last = flying.get(flying.size() - 1);
      for (int i = 0; i < morePieces; i++) {
        send(last, Math.min(pieces, last.ends().size() + 1));
      }
    }

    if (isForetoldFlying || !queue.isEmpty()) {
      return;
    }

    if (admitted == -1 && morePieces > 0) {
      Optional<Integer> best =
          computed.stream()
              .filter(expert -> !slots.contains(expert))
              .min(Comparator.comparingInt(expert -> -count(expert)));
      Optional<Integer> slot = leaving(List.of(), false);
      if (best.isPresent() && slot.isPresent()) {
        int owner = slots.get(slot.get());
        if (owner == -1 || order().compare(owner, best.get()) < 0) {
          wasted += unused.removeIf(one -> one == owner) ? 1 : 0;
          slots.set(slot.get(), -1);
          admitted = best.get();
          admittedSlot = slot.get();
        }
      }
    }

    for (int i = 0; i < morePieces && admitted >= 0 && admittedEnds.size() < pieces; i++) {
      linkFree = Math.max(linkFree, now) + pieceTime;
      admittedEnds.add(linkFree);
      copied++;
    }
  }

  private int count(int expert) {
    return (int) uses.stream().filter(one -> one == expert).count();
  }

  /** Which expert leaves before which other one. */
  private Comparator<Integer> order() {
    Comparator<Integer> byLastUse = Comparator.comparingInt(uses::lastIndexOf);
    Comparator<Integer> byUses = Comparator.comparingInt(this::count);
    return offload.eviction() == Eviction.LRU
        ? byLastUse
        : byUses.thenComparing(byLastUse.reversed());
  }

  void need(List<Integer> experts, List<Integer> next) {
    land();
    needed = experts;
    foretold = next;
    queue.clear();
    queueSlots.clear();
    for (Copy copy : List.copyOf(flying)) {
      if (needed.contains(copy.expert())) {
        send(copy, pieces);
      } else if (copy.ends().size() < pieces) {
        flying.remove(copy);
        strays.addAll(copy.ends());
        slots.set(slot(copy.expert()), -1);
        wasted += unused.removeIf(one -> one == copy.expert()) ? 1 : 0;
      }
    }

    List<Integer> missing = new ArrayList<>();
    for (int expert : experts) {
      boolean flies = flying.stream().anyMatch(copy -> copy.expert() == expert);
      if (flies) {
        ahead++;
      } else if (!slots.contains(expert)) {
        loads++;
        missing.add(expert);
      } else if (fresh.contains(expert)) {
        ahead++;
        arrived++;
      } else {
        hits++;
      }

      fresh.removeIf(one -> one == expert);
      unused.removeIf(one -> one == expert);
      uses.add(expert);
    }

    for (int expert : missing) {
      while (flying.size() == 2) {
        waitForOldest();
      }

      Optional<Integer> slot = leaving(List.of(), false);
      while (slot.isEmpty()) {
        slot = leaving(List.of(), true);
        if (slot.isEmpty() && admitted >= 0) {
          slot = Optional.of(admittedSlot);
          endAdmission(admittedEnds);
        } else if (slot.isEmpty()) {
          waitForOldest();
          slot = leaving(List.of(), false);
        }
      }

      begin(expert, slot.get(), false);
    }
  }

  void foretell(List<Integer> next) {
    fresh.clear();
    for (int expert : next) {
      if (!slots.contains(expert) && expert != admitted) {
        Optional<Integer> slot = leaving(queueSlots, false);
        if (slot.isEmpty()) {
          break;
        }

        queue.add(expert);
        queueSlots.add(slot.get());
      }
    }

    pump();
  }

  void pump() {
    sendAhead();
    while (!queue.isEmpty() && flying.size() < 2 && flying.stream().noneMatch(Copy::isAhead)) {
      int expert = queue.remove(0);
      fresh.add(expert);
      begin(expert, queueSlots.remove(0), true);
      unused.add(expert);
      sendAhead();
    }
  }

  /** Sends pieces of what flies ahead, two at a time, however many are there at once. */
  private void sendAhead() {
    for (Copy copy : flying) {
      while (copy.ends().size() < pieces
          && Stream.concat(copy.ends().stream(), strays.stream()).filter(end -> end > now).count()
              < 2) {
        send(copy, copy.ends().size() + 1);
      }
    }

    land();
  }

  private void send(Copy copy, int until) {
    while (copy.ends().size() < until) {
      linkFree = Math.max(linkFree, now) + pieceTime;
      copy.ends().add(linkFree);
      copied++;
    }

    while (copy.known().size() < until) {
      copy.known().add(linkFree);
    }
  }

  private void begin(int expert, int slot, boolean isAhead) {
    if (expert == admitted) {
      endAdmission(admittedEnds);
    }

    wasted += unused.removeIf(one -> one.equals(slots.get(slot))) ? 1 : 0;
    slots.set(slot, expert);
    flying.add(new Copy(expert, isAhead, new ArrayList<>(), new ArrayList<>()));
    if (!isAhead) {
      send(flying.get(flying.size() - 1), pieces);
    }
  }

  private void waitForOldest() {
    now = Math.max(now, flying.get(0).ends().get(pieces - 1));
    land();
  }

  private void land() {
    flying.removeIf(copy -> copy.ends().size() == pieces && copy.ends().get(pieces - 1) <= now);
  }

  /** An empty slot, else that of the first expert in order of leaving. */
  private Optional<Integer> leaving(List<Integer> taken, boolean alsoForetold) {
    List<Integer> candidates = new ArrayList<>();
    for (int slot = 0; slot < slots.size(); slot++) {
      int expert = slots.get(slot);
      if (taken.contains(slot) || slot == admittedSlot) {
        continue;
      }

      if (expert == -1) {
        return Optional.of(slot);
      }

      boolean flies = flying.stream().anyMatch(copy -> copy.expert() == expert);
      if (!needed.contains(expert) && !flies && (alsoForetold || !foretold.contains(expert))) {
        candidates.add(slot);
      }
    }

    return candidates.stream().min(Comparator.comparing(slots::get, order()));
  }

  Offload.Use use(long pieceBytes) {
    return new Offload.Use(hits, ahead, arrived, loads, wasted, copied * pieceBytes, onCpu);
  }
}
