package io.expertatlas.runtime.train;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.Timeline.Span;
import java.util.ArrayList;
import java.util.List;

/** Collects what ran when in a step. Safe for several threads. */
final class SpanLog {
  static final String GPU = "gpu";
  static final String CPU = "cpu";
  static final String LOAD = "load";
  static final String SEND = "send";

  private List<Span> spans = new ArrayList<>();

  synchronized void add(int device, String stream, String work, long begin) {
    spans.add(new Span(device, stream, work, begin, System.nanoTime()));
  }

  /** What was collected; begins anew. */
  synchronized Timeline take() {
    Timeline timeline = new Timeline(spans);
    spans = new ArrayList<>();
    return timeline;
  }
}
