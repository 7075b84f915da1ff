package io.expertatlas.runtime.sim;

import java.util.ArrayList;
import java.util.List;

/**
 * A link under which several copies run at once, each at its own full speed until together they are
 * faster than the link; then all slow down alike.
 */
final class SharedLink {
  private final EventQueue events;
  private final double capacity; // copies at full speed
  private final List<Copy> running = new ArrayList<>();
  private double pace = 1;
  private long updated;
  private long version;

  private static final class Copy {
    private final Runnable done;
    private double left; // nanoseconds at full speed

    private Copy(double left, Runnable done) {
      this.left = left;
      this.done = done;
    }
  }

  /**
   * A link.
   *
   * @param capacity how many copies it carries at their full speed; infinite: any number
   */
  SharedLink(EventQueue events, double capacity) {
    this.events = events;
    this.capacity = capacity;
  }

  /** Starts a copy that takes so long at full speed. */
  void start(double nanos, Runnable done) {
    advance();
    running.add(new Copy(nanos, done));
    schedule();
  }

  /** From now on all copies run at a share of their speed, above 0. */
  void pace(double share) {
    if (share != pace) {
      advance();
      pace = share;
      schedule();
    }
  }

  private double speed() {
    return pace * Math.min(1, capacity / running.size());
  }

  private void advance() {
    double passed = (events.now() - updated) * speed();
    for (Copy copy : running) {
      copy.left -= passed;
    }

    updated = events.now();
  }

  private void schedule() {
    version++;
    double least = Double.POSITIVE_INFINITY;
    for (Copy copy : running) {
      least = Math.min(least, copy.left);
    }

    if (!running.isEmpty()) {
      long mine = version;
      events.after(
          (long) Math.ceil(Math.max(0, least) / speed()),
          () -> {
            if (mine == version) {
              finish();
            }
          });
    }
  }

  private void finish() {
    advance();
    List<Runnable> ended = new ArrayList<>();
    running.removeIf(
        copy -> {
          if (copy.left < 1e-6) {
            ended.add(copy.done);
            return true;
          }

          return false;
        });
    schedule();
    ended.forEach(Runnable::run);
  }
}
