package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.Shapes.expect;
import static io.expertatlas.runtime.cpu.Shapes.width;

import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.Tensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;

/** From a router to sorted choices, and from results to weighted sums. */
final class CpuRouter {
  private final HeapRow row = new HeapRow();

  void route(Tensor logits, boolean renormalize, Tensor chosen, Tensor weights) {
    int all = (int) logits.width();
    int k = (int) chosen.width();
    expect(
        "route",
        k <= all && chosen.shape().equals(weights.shape()) && chosen.size(0) == logits.size(0),
        logits,
        chosen,
        weights);
    float[] probabilities = row.of(all);
    float[] values = new float[all];
    float[] best = new float[k];
    int[] ids = new int[k];
    for (int t = 0; t < CpuTensor.of(logits).rowCount(); t++) {
      CpuTensor.of(logits).get((long) t * all, values, all);
      System.arraycopy(values, 0, probabilities, 0, all);
      FloatMath.softmax(probabilities, all);
      float sum = 0;
      for (int r = 0; r < k; r++) {
        ids[r] = largest(values, all, ids, r);
        best[r] = probabilities[ids[r]];
        sum += best[r];
      }

      for (int r = 0; r < k && renormalize; r++) {
        best[r] /= sum;
      }

      CpuTensor.of(chosen).ints().put(t * k, ids);
      CpuTensor.of(weights).floats().put(t * k, best);
    }
  }

  /** The first of the largest values that are not taken yet. */
  private static int largest(float[] values, int count, int[] taken, int takenCount) {
    int best = -1;
    for (int i = 0; i < count; i++) {
      boolean isFree = true;
      for (int r = 0; r < takenCount; r++) {
        isFree &= taken[r] != i;
      }

      if (isFree && (best < 0 || values[i] > values[best])) {
        best = i;
      }
    }

    return best;
  }

  void groupByExpert(Tensor chosen, Tensor local, ExpertGroups into) {
    int choices = Math.toIntExact(chosen.elements());
    int count = (int) into.offsets().elements() - 1;
    expect(
        "groupByExpert",
        into.order().elements() >= choices && into.place().elements() == choices,
        chosen,
        into.order(),
        into.place());
    int[] expert = CpuTensor.of(chosen).toInts();
    int[] localOf = CpuTensor.of(local).toInts();
    int[] offsets = new int[count + 1];
    for (int i = 0; i < choices; i++) {
      expert[i] = expert[i] < 0 ? -1 : localOf[expert[i]];
      if (expert[i] >= 0) {
        offsets[expert[i] + 1]++;
      }
    }

    for (int e = 0; e < count; e++) {
      offsets[e + 1] += offsets[e];
    }

    CpuTensor.of(into.offsets()).ints().put(0, offsets);
    IntBuffer order = CpuTensor.of(into.order()).ints();
    IntBuffer place = CpuTensor.of(into.place()).ints();
    for (int i = 0; i < choices; i++) {
      int at = expert[i] < 0 ? -1 : offsets[expert[i]]++;
      place.put(i, at);
      if (at >= 0) {
        order.put(at, i);
      }
    }
  }

  void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out) {
    int width = width("combine", in, out);
    int k = (int) groups.place().width();
    expect(
        "combine",
        groups.place().size(0) == out.size(0) && weights.elements() == groups.place().elements(),
        groups.place(),
        weights,
        out);
    IntBuffer place = CpuTensor.of(groups.place()).ints();
    FloatBuffer weight = CpuTensor.of(weights).floats();
    FloatBuffer rows = CpuTensor.of(in).floats();
    float[] sum = row.of(width);
    for (int t = 0; t < CpuTensor.of(out).rowCount(); t++) {
      boolean first = true;
      for (int r = 0; r < k; r++) {
        int at = place.get(t * k + r);
        if (at >= 0) {
          float factor = weight.get(t * k + r);
          int from = at * width;
          for (int i = 0; i < width; i++) {
            float term = factor * rows.get(from + i);
            sum[i] = first ? term : sum[i] + term;
          }

          first = false;
        }
      }

      if (first) {
        Arrays.fill(sum, 0, width, 0);
      }

      CpuTensor.of(out).put((long) t * width, sum, width);
    }
  }
}
