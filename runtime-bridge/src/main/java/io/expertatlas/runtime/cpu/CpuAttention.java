package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import java.nio.IntBuffer;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;

/**
 * Attention, run by run and head by head: scores, softmax, sum of values. So a sequence's result
 * does not depend on the sequences beside it.
 */
final class CpuAttention {
  private final CpuMemory memory;
  private CpuTensor scores;
  private float[] row = {};

  CpuAttention(CpuMemory memory) {
    this.memory = memory;
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
      for (int head = 0; head < heads; head++) {
        FloatPointer key = keys.pointer(slot + (long) (head / perKey) * headSize);
        FloatPointer value = values.pointer(slot + (long) (head / perKey) * headSize);
        long at = first * q.width() + (long) head * headSize;
        head(
            q.pointer(at),
            key,
            value,
            out.pointer(at),
            visible,
            first,
            count,
            context,
            headSize,
            scale,
            (int) q.width(),
            (int) keys.size(2));
      }
    }
  }

  private void head(
      FloatPointer q,
      FloatPointer key,
      FloatPointer value,
      FloatPointer out,
      IntBuffer visible,
      int first,
      int count,
      int context,
      int headSize,
      float scale,
      int width,
      int keyWidth) {
    if (context == 0) {
      for (int t = 0; t < count; t++) {
        Products.at(out, (long) t * width).put(new float[headSize], 0, headSize);
      }

      return;
    }

    CpuTensor score = scores((long) count * context);
    FloatPointer pointer = score.pointer();
    if (count == 1) {
      Products.vector(key, context, headSize, keyWidth, q, scale, 0, pointer);
    } else {
      Products.byTransposed(
          q, width, key, keyWidth, count, context, headSize, scale, pointer, context);
    }

    for (int t = 0; t < count; t++) {
      softmax(score, t * context, visible.get(first + t), context);
    }

    if (count == 1) {
      Products.transposedVector(value, context, headSize, keyWidth, pointer, out);
    } else {
      Products.plain(pointer, context, value, keyWidth, count, headSize, context, out, width);
    }
  }

  /** What a row does not see weighs nothing. */
  private void softmax(CpuTensor score, int at, int visible, int context) {
    if (row.length < context) {
      row = new float[context];
    }

    score.get(at, row, visible);
    FloatMath.softmax(row, visible);
    for (int i = visible; i < context; i++) {
      row[i] = 0;
    }

    score.put(at, row, context);
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
