package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.Shapes.expect;

import io.expertatlas.runtime.Tensor;

/** The next token, from logits. */
final class CpuChoice {
  private final HeapRow row = new HeapRow();

  void argmax(Tensor logits, Tensor ids) {
    int width = (int) logits.width();
    expect("argmax", ids.elements() == logits.size(0), logits, ids);
    float[] values = row.of(width);
    for (int t = 0; t < CpuTensor.of(logits).rowCount(); t++) {
      CpuTensor.of(logits).get((long) t * width, values, width);
      int best = 0;
      for (int i = 1; i < width; i++) {
        best = values[i] > values[best] ? i : best;
      }

      CpuTensor.of(ids).ints().put(t, best);
    }
  }

  void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    int width = (int) logits.width();
    expect(
        "sample",
        ids.elements() == logits.size(0) && uniform.elements() == logits.size(0),
        logits,
        uniform,
        ids);
    float[] values = row.of(width);
    for (int t = 0; t < CpuTensor.of(logits).rowCount(); t++) {
      CpuTensor.of(logits).get((long) t * width, values, width);
      for (int i = 0; i < width; i++) {
        values[i] /= temperature;
      }

      FloatMath.softmax(values, width);
      CpuTensor.of(ids)
          .ints()
          .put(t, Sampling.pick(values, width, topP, CpuTensor.of(uniform).floats().get(t)));
    }
  }
}
