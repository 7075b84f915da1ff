package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.Timeline.Span;
import java.util.ArrayDeque;
import java.util.List;

/** One direction between host and a GPU: copies run one after the other. */
final class CopyEngine {
  private final EventQueue events;
  private final SharedLink link;
  private final int gpu;
  private final String stream;
  private final List<Span> spans;
  private final boolean records;
  private final ArrayDeque<Copy> waiting = new ArrayDeque<>();
  private double waitingNanos;
  private boolean busy;
  private double runningNanos;
  private long runningSince;
  private long busyNanos;

  private record Copy(double nanos, String what, Runnable done) {}

  CopyEngine(
      EventQueue events,
      SharedLink link,
      int gpu,
      String stream,
      List<Span> spans,
      boolean records) {
    this.events = events;
    this.link = link;
    this.gpu = gpu;
    this.stream = stream;
    this.spans = spans;
    this.records = records;
  }

  void copy(double nanos, String what, Runnable done) {
    waiting.add(new Copy(nanos, what, done));
    waitingNanos += nanos;
    pump();
  }

  private void pump() {
    if (busy || waiting.isEmpty()) {
      return;
    }

    Copy copy = waiting.poll();
    waitingNanos = waiting.isEmpty() ? 0 : waitingNanos - copy.nanos();
    busy = true;
    runningNanos = copy.nanos();
    runningSince = events.now();
    link.start(
        copy.nanos(),
        () -> {
          busy = false;
          busyNanos += events.now() - runningSince;
          if (records && events.now() > runningSince) {
            spans.add(new Span(gpu, stream, copy.what(), runningSince, events.now()));
          }

          copy.done().run();
          pump();
        });
  }

  /** What is left of the copies under way, at full speed. */
  double nanosLeft() {
    double running = busy ? Math.max(0, runningNanos - (events.now() - runningSince)) : 0;
    return running + waitingNanos;
  }

  long busyNanos() {
    return busyNanos;
  }
}
