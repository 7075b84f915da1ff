package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.Timeline;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.openblas.global.openblas;

/**
 * The host as a device: a logical rank. Operations are done when they return. All tensors are F32
 * and I32; devices of one process share their memory, so that ranks can share weights. Every row's
 * result depends on its own inputs and, in matrix products, on the number of rows beside it alone.
 */
public final class CpuDevice implements Device {
  private final int rank;
  private final boolean isTimed;
  private final CpuMemory memory = new CpuMemory();
  private final CpuAttention attention;
  private final CpuExperts experts;
  private final List<Timeline.Span> spans = new ArrayList<>();
  private float[] row = {};
  private String work = "";
  private long begin;

  /**
   * Opens a device.
   *
   * @param rank its number
   * @param threads of matrix products, of the whole process
   */
  public CpuDevice(int rank, int threads) {
    this(rank, threads, false);
  }

  /** Opens a device that keeps a span for each mark. */
  public static CpuDevice timed(int rank, int threads) {
    return new CpuDevice(rank, threads, true);
  }

  private CpuDevice(int rank, int threads, boolean isTimed) {
    if (rank < 0 || threads < 1) {
      throw new IllegalArgumentException(
          "Invalid CPU device: rank %d, %d threads".formatted(rank, threads));
    }

    this.rank = rank;
    this.isTimed = isTimed;
    this.attention = new CpuAttention(memory);
    this.experts = new CpuExperts(memory);
    Loader.load(openblas.class);
    ProductThreads.set(threads);
  }

  @Override
  public String name() {
    return "cpu:" + rank;
  }

  @Override
  public DType weightType() {
    return DType.F32;
  }

  @Override
  public DType activationType() {
    return DType.F32;
  }

  @Override
  public boolean sharesMemoryWith(Device other) {
    return other instanceof CpuDevice;
  }

  @Override
  public Tensor allocate(String name, DType type, long... shape) {
    if (type != DType.F32 && type != DType.I32) {
      throw new IllegalArgumentException(
          "Invalid type of tensor %s on the CPU: %s, F32 or I32".formatted(name, type));
    }

    long bytes = type.bytes();
    for (long axis : shape) {
      if (axis < 0) {
        throw new IllegalArgumentException(
            "Invalid shape of tensor %s: %s".formatted(name, Arrays.toString(shape)));
      }

      bytes = Math.multiplyExact(bytes, axis);
    }

    return new CpuTensor(memory, type, list(shape), memory.allocate(name, bytes), 0);
  }

  @Override
  public Tensor rows(Tensor tensor, long first, long count) {
    CpuTensor whole = use(tensor);
    Objects.checkFromIndexSize(first, count, whole.size(0));
    List<Long> shape = new ArrayList<>(whole.shape());
    shape.set(0, count);
    return whole.view(first * whole.width(), shape);
  }

  @Override
  public Tensor reshape(Tensor tensor, long... shape) {
    CpuTensor view = use(tensor).view(0, list(shape));
    expect("reshape", view.elements() == tensor.elements(), tensor, view);
    return view;
  }

  @Override
  public void load(TensorData values, Tensor into) {
    CpuTensor tensor = use(into);
    if (values.elements() != tensor.elements() || tensor.type() != DType.F32) {
      throw new IllegalArgumentException(
          "Invalid values for %s: %s has %s %s"
              .formatted(tensor, values.name(), values.type(), values.shape()));
    }

    Floats.load(values, tensor);
  }

  @Override
  public void write(Tensor tensor, int... values) {
    use(tensor).ints().put(0, values);
  }

  @Override
  public void write(Tensor tensor, float... values) {
    use(tensor).put(0, values, values.length);
  }

  @Override
  public int[] read(Tensor tensor) {
    int[] values = new int[Math.toIntExact(tensor.elements())];
    use(tensor).ints().get(0, values);
    return values;
  }

  @Override
  public float[] readFloats(Tensor tensor) {
    float[] values = new float[Math.toIntExact(tensor.elements())];
    use(tensor).get(0, values, values.length);
    return values;
  }

  @Override
  public void synchronize() {
    memory.checkOpen();
  }

  @Override
  public void receive(Device sender, Tensor from, Tensor into) {
    CpuTensor source = use(from);
    CpuTensor target = use(into);
    expect(
        "receive",
        source.shape().equals(target.shape()) && source.type() == target.type(),
        from,
        into);
    if (source.type() == DType.I32) {
      target.ints().put(0, source.ints(), 0, (int) source.elements());
    } else {
      target.floats().put(0, source.floats(), 0, (int) source.elements());
    }
  }

  @Override
  public void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    int width = width("embed", table, out);
    expect("embed", ids.elements() == out.size(0), ids, out);
    IntBuffer index = use(ids).ints();
    CpuTensor rows = use(table);
    CpuTensor result = use(out);
    float[] values = row(width);
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

  @Override
  public void addRows(Tensor table, Tensor index, Tensor out) {
    int width = width("addRows", table, out);
    expect("addRows", index.elements() == out.size(0), index, out);
    IntBuffer indices = use(index).ints();
    CpuTensor rows = use(table);
    for (int t = 0; t < indices.capacity(); t++) {
      addRow(rows, checked("addRows", indices.get(t), rows), use(out), t, width);
    }
  }

  @Override
  public void gatherRows(Tensor in, Tensor index, Tensor out) {
    int width = width("gatherRows", in, out);
    expect("gatherRows", index.elements() == out.size(0), index, out);
    IntBuffer indices = use(index).ints();
    CpuTensor rows = use(in);
    CpuTensor result = use(out);
    float[] values = row(width);
    for (int t = 0; t < indices.capacity(); t++) {
      rows.get(checked("gatherRows", indices.get(t), rows) * (long) width, values, width);
      result.put((long) t * width, values, width);
    }
  }

  @Override
  public void scatterAdd(Tensor in, Tensor index, Tensor out) {
    int width = width("scatterAdd", in, out);
    expect("scatterAdd", index.elements() == in.size(0), index, in);
    IntBuffer indices = use(index).ints();
    CpuTensor result = use(out);
    for (int n = 0; n < indices.capacity(); n++) {
      addRow(use(in), n, result, checked("scatterAdd", indices.get(n), result), width);
    }
  }

  private void addRow(CpuTensor from, int fromRow, CpuTensor into, int intoRow, int width) {
    float[] sum = row(2 * width);
    into.get((long) intoRow * width, sum, width);
    FloatBuffer added = from.floats();
    int at = fromRow * width;
    for (int i = 0; i < width; i++) {
      sum[i] += added.get(at + i);
    }

    into.put((long) intoRow * width, sum, width);
  }

  @Override
  public void add(Tensor x, Tensor out) {
    expect("add", x.elements() == out.elements(), x, out);
    FloatBuffer from = use(x).floats();
    FloatBuffer into = use(out).floats();
    for (int i = 0; i < into.capacity(); i++) {
      into.put(i, into.get(i) + from.get(i));
    }
  }

  @Override
  public void addBias(Tensor bias, Tensor out) {
    int width = (int) out.width();
    expect("addBias", bias.elements() == width, bias, out);
    float[] values = row(width);
    use(bias).get(0, values, width);
    FloatBuffer into = use(out).floats();
    for (int at = 0; at < into.capacity(); at += width) {
      for (int i = 0; i < width; i++) {
        into.put(at + i, into.get(at + i) + values[i]);
      }
    }
  }

  @Override
  public void relu(Tensor x) {
    FloatBuffer values = use(x).floats();
    for (int i = 0; i < values.capacity(); i++) {
      values.put(i, Math.max(values.get(i), 0));
    }
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    int width = width("rmsNorm", x, out);
    expect("rmsNorm", weight.elements() == width && x.elements() == out.elements(), x, weight, out);
    FloatBuffer scale = use(weight).floats();
    float[] values = row(width);
    for (int t = 0; t < use(x).rowCount(); t++) {
      use(x).get((long) t * width, values, width);
      double sum = 0;
      for (int i = 0; i < width; i++) {
        sum += (double) values[i] * values[i];
      }

      float factor = (float) (1 / Math.sqrt(sum / width + epsilon));
      for (int i = 0; i < width; i++) {
        values[i] = values[i] * factor * scale.get(i);
      }

      use(out).put((long) t * width, values, width);
    }
  }

  @Override
  public void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    int width = width("layerNorm", x, out);
    expect(
        "layerNorm",
        weight.elements() == width && bias.elements() == width && x.elements() == out.elements(),
        x,
        weight,
        bias,
        out);
    FloatBuffer scale = use(weight).floats();
    FloatBuffer shift = use(bias).floats();
    float[] values = row(width);
    for (int t = 0; t < use(x).rowCount(); t++) {
      use(x).get((long) t * width, values, width);
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

      use(out).put((long) t * width, values, width);
    }
  }

  @Override
  public void linear(Tensor x, Tensor weight, Tensor out) {
    product("linear", x, weight, 0, out);
  }

  @Override
  public void linearAdd(Tensor x, Tensor weight, Tensor out) {
    product("linearAdd", x, weight, 1, out);
  }

  private void product(String operation, Tensor x, Tensor weight, float beta, Tensor out) {
    expect(
        operation,
        x.width() == weight.width() && out.width() == weight.size(0) && x.size(0) == out.size(0),
        x,
        weight,
        out);
    if (out.elements() > 0) {
      Products.linear(
          use(x).pointer(),
          use(weight).pointer(),
          use(x).rowCount(),
          Math.toIntExact(x.width()),
          Math.toIntExact(out.width()),
          beta,
          use(out).pointer());
    }
  }

  @Override
  public void rotary(Tensor x, Tensor frequency, Tensor positions) {
    int half = (int) frequency.elements();
    int width = (int) x.width();
    expect(
        "rotary",
        half > 0 && width % (2 * half) == 0 && positions.elements() == x.size(0),
        x,
        frequency,
        positions);
    FloatBuffer values = use(x).floats();
    FloatBuffer frequencies = use(frequency).floats();
    IntBuffer position = use(positions).ints();
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

  @Override
  public void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
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
    IntBuffer slot = use(slots).ints();
    IntBuffer position = use(positions).ints();
    CpuTensor into = use(cache);
    float[] values = row(width);
    for (int t = 0; t < slot.capacity(); t++) {
      Objects.checkIndex(slot.get(t), cache.size(0));
      Objects.checkIndex(position.get(t), cache.size(1));
      use(in).get((long) t * width, values, width);
      into.put((slot.get(t) * cache.size(1) + position.get(t)) * width, values, width);
    }
  }

  @Override
  public void attention(
      Tensor q, Tensor keys, Tensor values, Batch batch, int headSize, float scale, Tensor out) {
    expect(
        "attention",
        keys.shape().size() == 3
            && keys.shape().equals(values.shape())
            && q.shape().equals(out.shape())
            && q.size(0) == batch.rows()
            && q.width() % headSize == 0
            && keys.size(2) % headSize == 0
            && q.width() % keys.size(2) == 0,
        q,
        keys,
        values,
        out);
    attention.run(use(q), use(keys), use(values), batch, headSize, scale, use(out));
  }

  @Override
  public void route(Tensor logits, boolean renormalize, Tensor chosen, Tensor weights) {
    int all = (int) logits.width();
    int k = (int) chosen.width();
    expect(
        "route",
        k <= all && chosen.shape().equals(weights.shape()) && chosen.size(0) == logits.size(0),
        logits,
        chosen,
        weights);
    float[] probabilities = row(all);
    float[] values = new float[all];
    float[] best = new float[k];
    int[] ids = new int[k];
    for (int t = 0; t < use(logits).rowCount(); t++) {
      use(logits).get((long) t * all, values, all);
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

      use(chosen).ints().put(t * k, ids);
      use(weights).floats().put(t * k, best);
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

  @Override
  public void groupByExpert(Tensor chosen, Tensor local, ExpertGroups into) {
    int choices = Math.toIntExact(chosen.elements());
    int count = (int) into.offsets().elements() - 1;
    expect(
        "groupByExpert",
        into.order().elements() >= choices && into.place().elements() == choices,
        chosen,
        into.order(),
        into.place());
    int[] expert = read(chosen);
    int[] localOf = read(local);
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

    use(into.offsets()).ints().put(0, offsets);
    IntBuffer order = use(into.order()).ints();
    IntBuffer place = use(into.place()).ints();
    for (int i = 0; i < choices; i++) {
      int at = expert[i] < 0 ? -1 : offsets[expert[i]]++;
      place.put(i, at);
      if (at >= 0) {
        order.put(at, i);
      }
    }
  }

  @Override
  public void experts(
      ExpertWeights weights, ExpertGroups groups, Tensor x, Tensor inner, Tensor out) {
    expect(
        "experts",
        x.width() == out.width() && groups.offsets().elements() == weights.experts() + 1,
        x,
        out,
        groups.offsets());
    int k = (int) groups.place().width();
    int[] offsets = read(groups.offsets());
    int[] order = read(groups.order());
    experts.run(weights, offsets, order, k, use(x), use(inner), use(out));
  }

  @Override
  public void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out) {
    int width = width("combine", in, out);
    int k = (int) groups.place().width();
    expect(
        "combine",
        groups.place().size(0) == out.size(0) && weights.elements() == groups.place().elements(),
        groups.place(),
        weights,
        out);
    IntBuffer place = use(groups.place()).ints();
    FloatBuffer weight = use(weights).floats();
    FloatBuffer rows = use(in).floats();
    float[] sum = row(width);
    for (int t = 0; t < use(out).rowCount(); t++) {
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

      use(out).put((long) t * width, sum, width);
    }
  }

  @Override
  public void argmax(Tensor logits, Tensor ids) {
    int width = (int) logits.width();
    expect("argmax", ids.elements() == logits.size(0), logits, ids);
    float[] values = row(width);
    for (int t = 0; t < use(logits).rowCount(); t++) {
      use(logits).get((long) t * width, values, width);
      int best = 0;
      for (int i = 1; i < width; i++) {
        best = values[i] > values[best] ? i : best;
      }

      use(ids).ints().put(t, best);
    }
  }

  @Override
  public void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    int width = (int) logits.width();
    expect(
        "sample",
        ids.elements() == logits.size(0) && uniform.elements() == logits.size(0),
        logits,
        uniform,
        ids);
    float[] values = row(width);
    for (int t = 0; t < use(logits).rowCount(); t++) {
      use(logits).get((long) t * width, values, width);
      for (int i = 0; i < width; i++) {
        values[i] /= temperature;
      }

      FloatMath.softmax(values, width);
      use(ids).ints().put(t, Sampling.pick(values, width, topP, use(uniform).floats().get(t)));
    }
  }

  @Override
  public void keep(Tensor in, Tensor step, Tensor log) {
    expect(
        "keep",
        in.elements() == log.width() && in.type() == log.type() && step.elements() == 1,
        in,
        step,
        log);
    int at = checked("keep", use(step).ints().get(0), log);
    receive(this, reshape(in, in.elements()), reshape(rows(log, at, 1), in.elements()));
  }

  @Override
  public void advance(Tensor ids, Tensor positions, Tensor visible, Tensor history, Tensor step) {
    expect(
        "advance",
        positions.elements() == ids.elements() && visible.elements() == ids.elements(),
        ids,
        positions,
        visible);
    keep(ids, step, history);
    for (Tensor tensor : new Tensor[] {positions, visible, step}) {
      IntBuffer values = use(tensor).ints();
      for (int i = 0; i < values.capacity(); i++) {
        values.put(i, values.get(i) + 1);
      }
    }
  }

  @Override
  public void mark(String next) {
    if (!isTimed) {
      return;
    }

    long now = System.nanoTime();
    if (!work.isEmpty()) {
      spans.add(new Timeline.Span(rank, "compute", work, begin, now));
    }

    work = next;
    begin = now;
  }

  @Override
  public List<Timeline.Span> takeSpans() {
    List<Timeline.Span> taken = List.copyOf(spans);
    spans.clear();
    return taken;
  }

  @Override
  public void close() {
    memory.close();
  }

  private float[] row(int width) {
    if (row.length < width) {
      row = new float[width];
    }

    return row;
  }

  private static List<Long> list(long[] shape) {
    return Arrays.stream(shape).boxed().toList();
  }

  private CpuTensor use(Tensor tensor) {
    if (!(tensor instanceof CpuTensor own)) {
      throw new IllegalArgumentException("Invalid tensor for %s: %s".formatted(name(), tensor));
    }

    own.memory().checkOpen();
    return own;
  }

  private static int width(String operation, Tensor x, Tensor out) {
    expect(operation, x.width() == out.width(), x, out);
    return Math.toIntExact(out.width());
  }

  private static int checked(String operation, int index, Tensor table) {
    if (index < 0 || index >= table.size(0)) {
      throw new IllegalArgumentException(
          "Invalid index of %s: %d, the table has %d rows"
              .formatted(operation, index, table.size(0)));
    }

    return index;
  }

  private static void expect(String operation, boolean fits, Tensor... operands) {
    if (!fits) {
      throw new IllegalArgumentException(
          "Invalid shapes for %s: %s".formatted(operation, Arrays.toString(operands)));
    }
  }
}
