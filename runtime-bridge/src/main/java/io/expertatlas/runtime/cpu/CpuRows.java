package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.Shapes.checked;
import static io.expertatlas.runtime.cpu.Shapes.expect;
import static io.expertatlas.runtime.cpu.Shapes.width;

import io.expertatlas.runtime.Tensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/** What is done to rows and elements, norms among it. */
final class CpuRows {
  private final HeapRow row = new HeapRow();

  void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    int width = width("embed", table, out);
    expect("embed", ids.elements() == out.size(0), ids, out);
    IntBuffer index = CpuTensor.of(ids).ints();
    CpuTensor rows = CpuTensor.of(table);
    CpuTensor result = CpuTensor.of(out);
    float[] values = row.of(width);
    for (int t = 0; t < result.rowCount(); t++) {
      rows.get(checked("embed", index.get(t), rows) * (long) width, values, width);
      if (scale != 1) {
        for (int i = 0; i < width; i++) {
          values[i] *= scale;
        }
      }

      result.put((long) t * width, values, width);
    }
  }

  void addRows(Tensor table, Tensor index, Tensor out) {
    int width = width("addRows", table, out);
    expect("addRows", index.elements() == out.size(0), index, out);
    IntBuffer indices = CpuTensor.of(index).ints();
    CpuTensor rows = CpuTensor.of(table);
    for (int t = 0; t < indices.capacity(); t++) {
      addRow(rows, checked("addRows", indices.get(t), rows), CpuTensor.of(out), t, width);
    }
  }

  void gatherRows(Tensor in, Tensor index, Tensor out) {
    int width = width("gatherRows", in, out);
    expect("gatherRows", index.elements() == out.size(0), index, out);
    IntBuffer indices = CpuTensor.of(index).ints();
    CpuTensor rows = CpuTensor.of(in);
    CpuTensor result = CpuTensor.of(out);
    float[] values = row.of(width);
    for (int t = 0; t < indices.capacity(); t++) {
      rows.get(checked("gatherRows", indices.get(t), rows) * (long) width, values, width);
      result.put((long) t * width, values, width);
    }
  }

  void scatterAdd(Tensor in, Tensor index, Tensor out) {
    int width = width("scatterAdd", in, out);
    expect("scatterAdd", index.elements() == in.size(0), index, in);
    IntBuffer indices = CpuTensor.of(index).ints();
    CpuTensor result = CpuTensor.of(out);
    for (int n = 0; n < indices.capacity(); n++) {
      addRow(CpuTensor.of(in), n, result, checked("scatterAdd", indices.get(n), result), width);
    }
  }

  private void addRow(CpuTensor from, int fromRow, CpuTensor into, int intoRow, int width) {
    float[] sum = row.of(2 * width);
    into.get((long) intoRow * width, sum, width);
    FloatBuffer added = from.floats();
    int at = fromRow * width;
    for (int i = 0; i < width; i++) {
      sum[i] += added.get(at + i);
    }

    into.put((long) intoRow * width, sum, width);
  }

  void add(Tensor x, Tensor out) {
    expect("add", x.elements() == out.elements(), x, out);
    FloatBuffer from = CpuTensor.of(x).floats();
    FloatBuffer into = CpuTensor.of(out).floats();
    for (int i = 0; i < into.capacity(); i++) {
      into.put(i, into.get(i) + from.get(i));
    }
  }

  void addBias(Tensor bias, Tensor out) {
    int width = (int) out.width();
    expect("addBias", bias.elements() == width, bias, out);
    float[] values = row.of(width);
    CpuTensor.of(bias).get(0, values, width);
    FloatBuffer into = CpuTensor.of(out).floats();
    for (int at = 0; at < into.capacity(); at += width) {
      for (int i = 0; i < width; i++) {
        into.put(at + i, into.get(at + i) + values[i]);
      }
    }
  }

  void relu(Tensor x) {
    FloatBuffer values = CpuTensor.of(x).floats();
    for (int i = 0; i < values.capacity(); i++) {
      values.put(i, Math.max(values.get(i), 0));
    }
  }

  void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    int width = width("rmsNorm", x, out);
    expect("rmsNorm", weight.elements() == width && x.elements() == out.elements(), x, weight, out);
    FloatBuffer scale = CpuTensor.of(weight).floats();
    float[] values = row.of(width);
    for (int t = 0; t < CpuTensor.of(x).rowCount(); t++) {
      CpuTensor.of(x).get((long) t * width, values, width);
      double sum = 0;
      for (int i = 0; i < width; i++) {
        sum += (double) values[i] * values[i];
      }

      float factor = (float) (1 / Math.sqrt(sum / width + epsilon));
      for (int i = 0; i < width; i++) {
        values[i] = values[i] * factor * scale.get(i);
      }

      CpuTensor.of(out).put((long) t * width, values, width);
    }
  }

  void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    int width = width("layerNorm", x, out);
    expect(
        "layerNorm",
        weight.elements() == width && bias.elements() == width && x.elements() == out.elements(),
        x,
        weight,
        bias,
        out);
    FloatBuffer scale = CpuTensor.of(weight).floats();
    FloatBuffer shift = CpuTensor.of(bias).floats();
    float[] values = row.of(width);
    for (int t = 0; t < CpuTensor.of(x).rowCount(); t++) {
      CpuTensor.of(x).get((long) t * width, values, width);
      double sum = 0;
      for (int i = 0; i < width; i++) {
        sum += values[i];
      }

      double mean = sum / width;
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += (values[i] - mean) * (values[i] - mean);
      }

      double factor = 1 / Math.sqrt(squares / width + epsilon);
      for (int i = 0; i < width; i++) {
        values[i] = (float) ((values[i] - mean) * factor) * scale.get(i) + shift.get(i);
      }

      CpuTensor.of(out).put((long) t * width, values, width);
    }
  }
}
