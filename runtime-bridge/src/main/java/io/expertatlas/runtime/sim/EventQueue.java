package io.expertatlas.runtime.sim;

import java.util.PriorityQueue;

/** What will happen when. Events of one time happen in the order in which they were added. */
final class EventQueue {
  private record Event(long nanos, long serial, Runnable what) implements Comparable<Event> {
    @Override
    public int compareTo(Event other) {
      int byTime = Long.compare(nanos, other.nanos);
      return byTime != 0 ? byTime : Long.compare(serial, other.serial);
    }
  }

  private final PriorityQueue<Event> events = new PriorityQueue<>();
  private long now;
  private long serial;

  long now() {
    return now;
  }

  /** Adds an event; one that lies in the past happens now. */
  void at(long nanos, Runnable what) {
    events.add(new Event(Math.max(now, nanos), serial++, what));
  }

  void after(long nanos, Runnable what) {
    at(now + nanos, what);
  }

  /** Lets everything happen. */
  void run() {
    for (Event event = events.poll(); event != null; event = events.poll()) {
      now = event.nanos();
      event.what().run();
    }
  }
}
