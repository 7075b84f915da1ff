package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.ExpertWeights;
import java.nio.FloatBuffer;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;

/** The experts of a layer, one after the other, each over the rows that chose it. */
final class CpuExperts {
  /** Numbers that are worth waking another thread for. */
  private static final int LEAST_GATED = 1 << 14;

  private final CpuMemory memory;
  private CpuTensor packed;
  private final HeapRow row = new HeapRow();
  private final CpuProducts products;

  CpuExperts(CpuMemory memory, CpuProducts products) {
    this.memory = memory;
    this.products = products;
  }

  void run(
      ExpertWeights weights,
      int[] offsets,
      int[] order,
      int k,
      CpuTensor x,
      CpuTensor inner,
      CpuTensor out) {
    int hidden = (int) x.width();
    for (int e = 0; e < weights.experts(); e++) {
      int first = offsets[e];
      int count = offsets[e + 1] - first;
      if (count > 0) {
        FloatPointer rows = gather(order, first, count, k, x, hidden);
        FloatPointer result = out.pointer((long) first * hidden);
        if (weights instanceof ExpertWeights.Swiglu swiglu) {
          swiglu(swiglu, e, rows, count, hidden, inner, result);
        } else if (weights instanceof ExpertWeights.Relu relu) {
          relu(relu, e, rows, count, hidden, inner, out, first);
        }
      }
    }
  }

  /** The rows of one expert, next to each other. */
  private FloatPointer gather(int[] order, int first, int count, int k, CpuTensor x, int hidden) {
    if (count == 1) {
      return x.pointer((long) (order[first] / k) * hidden);
    }

    if (packed == null || packed.elements() < (long) count * hidden) {
      List<Long> shape = List.of((long) count * hidden);
      packed =
          new CpuTensor(
              memory,
              DType.F32,
              shape,
              memory.allocate("rows of an expert", shape.get(0) * DType.F32.bytes()),
              0);
    }

    float[] values = row.of(hidden);
    for (int i = 0; i < count; i++) {
      x.get((long) (order[first + i] / k) * hidden, values, hidden);
      packed.put((long) i * hidden, values, hidden);
    }

    return packed.pointer();
  }

  private void swiglu(
      ExpertWeights.Swiglu weights,
      int e,
      FloatPointer rows,
      int count,
      int hidden,
      CpuTensor inner,
      FloatPointer out) {
    int size = (int) weights.inner();
    long matrix = (long) size * hidden;
    int half = count * size;
    products.linear(rows, weights.gate(), e * matrix, count, hidden, size, inner.pointer());
    products.linear(rows, weights.up(), e * matrix, count, hidden, size, inner.pointer(half));
    gate(inner.floats(), half);
    products.linear(inner.pointer(), weights.down(), e * matrix, count, size, hidden, out);
  }

  /** {@code values[i] = silu(values[i]) * values[half + i]}. */
  private static void gate(FloatBuffer values, int half) {
    int pieces = half / LEAST_GATED;
    if (pieces < 2) {
      gate(values, half, 0, half);
    } else {
      ProductThreads.split(
          pieces,
          (from, to) ->
              gate(
                  values,
                  half,
                  (int) ((long) half * from / pieces),
                  (int) ((long) half * to / pieces)));
    }
  }

  private static void gate(FloatBuffer values, int half, int from, int to) {
    for (int i = from; i < to; i++) {
      values.put(i, FloatMath.silu(values.get(i)) * values.get(half + i));
    }
  }

  private void relu(
      ExpertWeights.Relu weights,
      int e,
      FloatPointer rows,
      int count,
      int hidden,
      CpuTensor inner,
      CpuTensor out,
      int first) {
    int size = (int) weights.inner();
    long matrix = (long) size * hidden;
    products.linear(rows, weights.up(), e * matrix, count, hidden, size, inner.pointer());
    FloatBuffer values = inner.floats();
    FloatBuffer upBias = ((CpuTensor) weights.upBias()).floats();
    for (int i = 0; i < count * size; i++) {
      values.put(i, Math.max(values.get(i) + upBias.get(e * size + i % size), 0));
    }

    FloatPointer result = out.pointer((long) first * hidden);
    products.linear(inner.pointer(), weights.down(), e * matrix, count, size, hidden, result);
    FloatBuffer sums = out.floats();
    FloatBuffer downBias = ((CpuTensor) weights.downBias()).floats();
    for (int i = 0; i < count * hidden; i++) {
      int at = first * hidden + i;
      sums.put(at, sums.get(at) + downBias.get(e * hidden + i % hidden));
    }
  }
}
