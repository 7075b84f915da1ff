package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.List;

/**
 * What the parts of one device share in one step.
 *
 * @param records whether spans are kept
 */
record DeviceContext(
    EventQueue events,
    StagePlan plan,
    int device,
    List<Visit> visits,
    WorkTimes times,
    StepRouting routing,
    CopyEngine loads,
    CopyEngine stores,
    List<Span> spans,
    boolean records,
    DeviceUse use) {
  int gpu() {
    return plan.gpu(device);
  }

  /** Work of some length that begins now. */
  void run(String stream, String what, double nanos, Runnable done) {
    long begin = events.now();
    long length = Math.round(nanos);
    if (stream.equals(PipelineSimulator.CPU)) {
      use.cpuNanos += length;
    } else {
      use.gpuNanos += length;
    }

    if (records && length > 0) {
      spans.add(new Span(gpu(), stream, what, begin, begin + length));
    }

    events.after(length, done);
  }

  /** Work of the GPU without a span of its own. */
  void busy(double nanos, Runnable done) {
    long length = Math.round(nanos);
    use.gpuNanos += length;
    events.after(length, done);
  }
}
