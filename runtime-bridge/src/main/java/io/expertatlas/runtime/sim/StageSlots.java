package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.Visit;
import java.util.List;
import java.util.function.Consumer;

/**
 * Room for two stages on a device: a visit's weights may come once those of the visit before the
 * last are dropped, and those of the same stage.
 */
final class StageSlots {
  private final List<Visit> visits;
  private final boolean[] wanted;
  private final boolean[] dropped;
  private final Consumer<Visit> load;
  private int next; // visit that is loaded next

  StageSlots(List<Visit> visits, Consumer<Visit> load) {
    this.visits = visits;
    this.wanted = new boolean[visits.size()];
    this.dropped = new boolean[visits.size()];
    this.load = load;
  }

  /** A visit has come up: its weights are wanted, and then those of the next. */
  void begin(Visit visit) {
    wanted[visit.number()] = true;
    if (visit.number() + 1 < wanted.length) {
      wanted[visit.number() + 1] = true;
    }

    pump();
  }

  /** The weights of a visit have left the device. */
  void dropped(Visit visit) {
    dropped[visit.number()] = true;
    pump();
  }

  private void pump() {
    while (next < wanted.length && wanted[next] && hasRoom(next)) {
      load.accept(visits.get(next++));
    }
  }

  private boolean hasRoom(int number) {
    boolean same = number > 0 && visits.get(number - 1).stage() == visits.get(number).stage();
    return (number < 2 || dropped[number - 2]) && (!same || dropped[number - 1]);
  }
}
