package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import io.expertatlas.runtime.Timeline;
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** When work ran, by events on the stream. */
final class Marks {
  private final int rank;
  private final String name;
  private final CUstream stream;
  private final CUevent start = new CUevent();
  private final long startNanos;
  private final List<Mark> marks = new ArrayList<>();

  private record Mark(String work, CUevent event) {}

  /** Marks of a stream, that has a name. */
  Marks(int rank, String name, CUstream stream) {
    this.rank = rank;
    this.name = name;
    this.stream = stream;
    check(JCudaDriver.cuEventCreate(start, 0), "cuEventCreate");
    check(JCudaDriver.cuEventRecord(start, stream), "cuEventRecord");
    check(JCudaDriver.cuEventSynchronize(start), "cuEventSynchronize");
    startNanos = System.nanoTime();
  }

  void mark(String work) {
    CUevent event = new CUevent();
    check(JCudaDriver.cuEventCreate(event, 0), "cuEventCreate");
    check(JCudaDriver.cuEventRecord(event, stream), "cuEventRecord");
    marks.add(new Mark(work, event));
  }

  /** The spans between marks; the stream must be idle. */
  List<Timeline.Span> take() {
    List<Timeline.Span> spans = new ArrayList<>();
    for (int i = 0; i + 1 < marks.size(); i++) {
      if (!marks.get(i).work().isEmpty()) {
        spans.add(
            new Timeline.Span(
                rank, name, marks.get(i).work(), nanos(marks.get(i)), nanos(marks.get(i + 1))));
      }
    }

    marks.forEach(mark -> JCudaDriver.cuEventDestroy(mark.event()));
    marks.clear();
    return spans;
  }

  private long nanos(Mark mark) {
    float[] millis = new float[1];
    check(JCudaDriver.cuEventElapsedTime(millis, start, mark.event()), "cuEventElapsedTime");
    return startNanos + (long) (millis[0] * 1e6);
  }

  void close() {
    marks.forEach(mark -> JCudaDriver.cuEventDestroy(mark.event()));
    marks.clear();
    JCudaDriver.cuEventDestroy(start);
  }
}
