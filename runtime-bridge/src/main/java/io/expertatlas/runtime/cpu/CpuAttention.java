package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.Shapes.expect;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Tensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.FloatPointer;

/**
 * Attention, run by run and head by head (of a single token: key head by key head): scores,
 * softmax, sum of values. So a sequence's result does not depend on the sequences beside it. Also
 * what fills the cache.
 */
final class CpuAttention {
  private final CpuMemory memory;
  private CpuTensor scores;
  private final HeapRow row = new HeapRow();

  CpuAttention(CpuMemory memory) {
    this.memory = memory;
  }

  void rotary(Tensor x, Tensor frequency, Tensor positions) {
    int half = (int) frequency.elements();
    int width = (int) x.width();
    expect(
        "rotary",
        half > 0 && width % (2 * half) == 0 && positions.elements() == x.size(0),
        x,
        frequency,
        positions);
    FloatBuffer values = CpuTensor.of(x).floats();
    FloatBuffer frequencies = CpuTensor.of(frequency).floats();
    IntBuffer position = CpuTensor.of(positions).ints();
    float[] cos = new float[half];
    float[] sin = new float[half];
    for (int t = 0; t < position.capacity(); t++) {
      for (int i = 0; i < half; i++) {
        float angle = position.get(t) * frequencies.get(i);
        cos[i] = (float) Math.cos(angle);
        sin[i] = (float) Math.sin(angle);
      }

      for (int head = t * width; head < (t + 1) * width; head += 2 * half) {
        for (int i = 0; i < half; i++) {
          float a = values.get(head + i);
          float b = values.get(head + half + i);
          values.put(head + i, a * cos[i] - b * sin[i]);
          values.put(head + half + i, b * cos[i] + a * sin[i]);
        }
      }
    }
  }

  void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
    int width = (int) in.width();
    expect(
        "append",
        cache.shape().size() == 3
            && cache.size(2) == width
            && slots.elements() == in.size(0)
            && positions.elements() == in.size(0),
        in,
        slots,
        positions,
        cache);
    IntBuffer slot = CpuTensor.of(slots).ints();
    IntBuffer position = CpuTensor.of(positions).ints();
    CpuTensor into = CpuTensor.of(cache);
    float[] values = row.of(width);
    for (int t = 0; t < slot.capacity(); t++) {
      Objects.checkIndex(slot.get(t), cache.size(0));
      Objects.checkIndex(position.get(t), cache.size(1));
      CpuTensor.of(in).get((long) t * width, values, width);
      into.put((slot.get(t) * cache.size(1) + position.get(t)) * width, values, width);
    }
  }

  void run(
      CpuTensor q,
      CpuTensor keys,
      CpuTensor values,
      Batch batch,
      int headSize,
      float scale,
      CpuTensor out) {
    int heads = (int) q.width() / headSize;
    int perKey = (int) (q.width() / keys.size(2));
    IntBuffer starts = ((CpuTensor) batch.runStarts()).ints();
    IntBuffer slots = ((CpuTensor) batch.slots()).ints();
    IntBuffer visible = ((CpuTensor) batch.visible()).ints();
    for (int run = 0; run < batch.runs(); run++) {
      int first = starts.get(run);
      int count = starts.get(run + 1) - first;
      int context = 0;
      for (int t = first; t < first + count; t++) {
        context = Math.max(context, visible.get(t));
      }

      if (context > keys.size(1)) {
        throw new IllegalArgumentException(
            "Invalid batch: a row sees %d entries, a slot has %d".formatted(context, keys.size(1)));
      }

      long slot = slots.get(first) * keys.size(1) * keys.size(2);
      for (int keyHead = 0; keyHead < heads / perKey; keyHead++) {
        FloatPointer key = keys.pointer(slot + (long) keyHead * headSize);
        FloatPointer value = values.pointer(slot + (long) keyHead * headSize);
        long at = first * q.width() + (long) keyHead * perKey * headSize;
        Heads one = new Heads(key, value, visible, first, context, headSize, scale);
        int keyWidth = (int) keys.size(2);
        if (count == 1) { // the heads that read the same keys are rows of one product
          run(one, q.pointer(at), out.pointer(at), perKey, 0, headSize, keyWidth);
        } else {
          for (int head = 0; head < perKey; head++) {
            long from = at + (long) head * headSize;
            run(one, q.pointer(from), out.pointer(from), count, 1, (int) q.width(), keyWidth);
          }
        }
      }
    }
  }

  /**
   * What rows attend to.
   *
   * @param visible what each row of the batch sees
   * @param first row of the run
   * @param context the most that a row of the run sees
   */
  private record Heads(
      FloatPointer key,
      FloatPointer value,
      IntBuffer visible,
      int first,
      int context,
      int headSize,
      float scale) {}

  /**
   * Attends.
   *
   * @param rows of q and out, {@code stride} numbers apart
   * @param step from a row to the next in the batch: 0 if they are heads of one token
   */
  private void run(
      Heads one, FloatPointer q, FloatPointer out, int rows, int step, int stride, int keyWidth) {
    int size = one.headSize();
    int context = one.context();
    if (context == 0) {
      for (int t = 0; t < rows; t++) {
        Products.at(out, (long) t * stride).put(new float[size], 0, size);
      }

      return;
    }

    CpuTensor score = scores((long) rows * context);
    FloatPointer pointer = score.pointer();
    Products.byTransposed(
        q, stride, one.key(), keyWidth, rows, context, size, one.scale(), pointer, context);
    for (int t = 0; t < rows; t++) {
      softmax(score, t * context, one.visible().get(one.first() + t * step), context);
    }

    Products.plain(pointer, context, one.value(), keyWidth, rows, size, context, out, stride);
  }

  /** What a row does not see weighs nothing. */
  private void softmax(CpuTensor score, int at, int visible, int context) {
    float[] values = row.of(context);
    score.get(at, values, visible);
    FloatMath.softmax(values, visible);
    for (int i = visible; i < context; i++) {
      values[i] = 0;
    }

    score.put(at, values, context);
  }

  private CpuTensor scores(long elements) {
    if (scores == null || scores.elements() < elements) {
      List<Long> shape = List.of(Math.max(elements, scores == null ? 0 : 2 * scores.elements()));
      scores =
          new CpuTensor(
              memory,
              DType.F32,
              shape,
              memory.allocate("attention scores", shape.get(0) * DType.F32.bytes()),
              0);
    }

    return scores;
  }
}
