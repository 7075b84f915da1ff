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

  private record Copy(int expert, boolean isAhead, List<Long> ends) {}

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
        if (slot.isEmpty()) {
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
      if (!slots.contains(expert)) {
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
  }

  private void begin(int expert, int slot, boolean isAhead) {
    wasted += unused.removeIf(one -> one.equals(slots.get(slot))) ? 1 : 0;
    slots.set(slot, expert);
    flying.add(new Copy(expert, isAhead, new ArrayList<>()));
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
      if (taken.contains(slot)) {
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

    Comparator<Integer> byLastUse =
        Comparator.comparingInt(slot -> uses.lastIndexOf(slots.get(slot)));
    Comparator<Integer> byUses =
        Comparator.comparingInt(
            slot -> (int) uses.stream().filter(one -> one.equals(slots.get(slot))).count());
    return candidates.stream()
        .min(
            offload.eviction() == Eviction.LRU
                ? byLastUse
                : byUses.thenComparing(byLastUse.reversed()));
  }

  Offload.Use use(long pieceBytes) {
    return new Offload.Use(hits, ahead, arrived, loads, wasted, copied * pieceBytes);
  }
}
