package io.expertatlas.runtime.sim;

import java.util.ArrayDeque;
import java.util.function.IntConsumer;

/** Workers that take work in the order in which it comes. */
final class CpuPool {
  private final EventQueue events;
  private final ArrayDeque<Work> waiting = new ArrayDeque<>();
  private final IntConsumer observer;
  private final int workers;
  private int busy;

  private record Work(Runnable started, long nanos, Runnable done) {}

  /**
   * A pool.
   *
   * @param observer is told how many work, when that changes
   */
  CpuPool(EventQueue events, int workers, IntConsumer observer) {
    this.events = events;
    this.workers = workers;
    this.observer = observer;
  }

  void submit(double nanos, Runnable started, Runnable done) {
    waiting.add(new Work(started, Math.round(nanos), done));
    pump();
  }

  private void pump() {
    while (busy < workers && !waiting.isEmpty()) {
      Work work = waiting.poll();
      change(1);
      work.started().run();
      events.after(
          work.nanos(),
          () -> {
            change(-1);
            work.done().run();
            pump();
          });
    }
  }

  private void change(int more) {
    busy += more;
    observer.accept(busy);
  }
}
