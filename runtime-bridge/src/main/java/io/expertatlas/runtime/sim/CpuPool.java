package io.expertatlas.runtime.sim;

import java.util.ArrayDeque;

/** Workers that take work in the order in which it comes. */
final class CpuPool {
  private final EventQueue events;
  private final ArrayDeque<Work> waiting = new ArrayDeque<>();
  private int free;

  private record Work(Runnable started, long nanos, Runnable done) {}

  CpuPool(EventQueue events, int workers) {
    this.events = events;
    this.free = workers;
  }

  void submit(double nanos, Runnable started, Runnable done) {
    waiting.add(new Work(started, Math.round(nanos), done));
    pump();
  }

  private void pump() {
    while (free > 0 && !waiting.isEmpty()) {
      Work work = waiting.poll();
      free--;
      work.started().run();
      events.after(
          work.nanos(),
          () -> {
            free++;
            work.done().run();
            pump();
          });
    }
  }
}
