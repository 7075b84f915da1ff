package io.expertatlas.runtime.train;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.StepRouting;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Collects what ran when in a step, and where the tokens of each layer and micro-batch went. Safe
 * for several threads.
 */
final class SpanLog {
  static final String GPU = "gpu";
  static final String CPU = "cpu";
  static final String LOAD = "load";
  static final String SEND = "send";

  private List<Span> spans = new ArrayList<>();
  private Map<Integer, List<int[]>> routed = new TreeMap<>(); // by layer, of each micro-batch

  synchronized void add(int device, String stream, String work, long begin) {
    spans.add(new Span(device, stream, work, begin, System.nanoTime()));
  }

  /** What was collected; begins anew. */
  synchronized Timeline take() {
    Timeline timeline = new Timeline(spans);
    spans = new ArrayList<>();
    return timeline;
  }

  /** The gate of a layer has spoken for its next micro-batch. */
  synchronized void routed(int layer, int[] counts) {
    routed.computeIfAbsent(layer, l -> new ArrayList<>()).add(counts.clone());
  }

  /** Tokens of each expert by layer and micro-batch; begins anew. */
  synchronized StepRouting takeRouting() {
    int[][][] counts =
        routed.values().stream()
            .map(chunks -> chunks.toArray(int[][]::new))
            .toArray(int[][][]::new);
    routed = new TreeMap<>();
    return new StepRouting(counts, new int[0][][]);
  }
}
