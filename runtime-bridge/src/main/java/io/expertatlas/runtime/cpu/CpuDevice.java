package io.expertatlas.runtime.cpu;

import static io.expertatlas.runtime.cpu.Shapes.checked;
import static io.expertatlas.runtime.cpu.Shapes.expect;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.HostTensor;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.Timeline;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.openblas.global.openblas;

/**
 * The host as a device: a logical rank. Operations are done when they return. Tensors are F32 and
 * I32, weights BF16 if asked for: products with those round their input to BF16 and add in F32.
 * Devices of one process share their memory, so that ranks can share weights. Every row's result
 * depends on its own inputs and, in matrix products, on the number of rows beside it alone.
 */
public final class CpuDevice implements Device {
  private final int rank;
  private final DType weightType;
  private final boolean isTimed;
  private final String stream;
  private final CpuMemory memory = new CpuMemory();
  private final CpuRows rowWork = new CpuRows();
  private final CpuAttention attention;
  private final CpuRouter router = new CpuRouter();
  private final CpuProducts products;
  private final CpuExperts experts;
  private final CpuChoice choice = new CpuChoice();
  private final List<Timeline.Span> spans = new ArrayList<>();
  private String work = "";
  private long begin;

  /**
   * Opens a device.
   *
   * @param rank its number
   * @param threads of matrix products, of the whole process
   */
  public CpuDevice(int rank, int threads) {
    this(rank, threads, DType.F32);
  }

  /**
   * Opens a device.
   *
   * @param weightType F32 or BF16
   * @throws IllegalStateException if BF16 is asked for and {@link #whyNoBfloat16} says why not
   */
  public CpuDevice(int rank, int threads, DType weightType) {
    this(rank, threads, weightType, false, "compute");
  }

  /**
   * Opens a device that keeps a span for each mark.
   *
   * @param stream of these spans
   */
  public static CpuDevice timed(int rank, int threads, DType weightType, String stream) {
    return new CpuDevice(rank, threads, weightType, true, stream);
  }

  private CpuDevice(int rank, int threads, DType weightType, boolean isTimed, String stream) {
    if (rank < 0 || threads < 1 || (weightType != DType.F32 && weightType != DType.BF16)) {
      throw new IllegalArgumentException(
          "Invalid CPU device: rank %d, %d threads, weights of %s"
              .formatted(rank, threads, weightType));
    }

    if (weightType == DType.BF16 && !whyNoBfloat16().isEmpty()) {
      throw new IllegalStateException("Cannot use bf16 weights on the CPU: " + whyNoBfloat16());
    }

    this.rank = rank;
    this.weightType = weightType;
    this.isTimed = isTimed;
    this.stream = stream;
    this.attention = new CpuAttention(memory);
    this.products = new CpuProducts(memory);
    this.experts = new CpuExperts(memory, products);
    Loader.load(openblas.class);
    ProductThreads.set(threads);
  }

  /** Why weights cannot be BF16 on this machine; empty if they can. */
  public static String whyNoBfloat16() {
    return OneDnn.whyNone();
  }

  @Override
  public String name() {
    return "cpu:" + rank;
  }

  @Override
  public DType weightType() {
    return weightType;
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
    if (type != DType.F32 && type != DType.I32 && type != weightType) {
      throw new IllegalArgumentException(
          "Invalid type of tensor %s on the CPU: %s, I32, F32 or that of weights, %s"
              .formatted(name, type, weightType));
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
  public Tensor mapped(Tensor onHost) {
    return onHost instanceof HostTensor other
        ? new CpuTensor(memory, other.type(), other.shape(), new Place().at(other.address()), 0)
        : CpuTensor.of(onHost);
  }

  @Override
  public Tensor rows(Tensor tensor, long first, long count) {
    CpuTensor whole = CpuTensor.of(tensor);
    Objects.checkFromIndexSize(first, count, whole.size(0));
    List<Long> shape = new ArrayList<>(whole.shape());
    shape.set(0, count);
    return whole.view(first * whole.width(), shape);
  }

  @Override
  public Tensor reshape(Tensor tensor, long... shape) {
    CpuTensor view = CpuTensor.of(tensor).view(0, list(shape));
    expect("reshape", view.elements() == tensor.elements(), tensor, view);
    return view;
  }

  @Override
  public void load(TensorData values, Tensor into) {
    CpuTensor tensor = CpuTensor.of(into);
    if (values.elements() != tensor.elements() || tensor.type() == DType.I32) {
      throw new IllegalArgumentException(
          "Invalid values for %s: %s has %s %s"
              .formatted(tensor, values.name(), values.type(), values.shape()));
    }

    Floats.load(values, tensor);
  }

  @Override
  public void write(Tensor tensor, int... values) {
    CpuTensor.of(tensor).ints().put(0, values);
  }

  @Override
  public void write(Tensor tensor, float... values) {
    CpuTensor.of(tensor).put(0, values, values.length);
  }

  @Override
  public int[] read(Tensor tensor) {
    return CpuTensor.of(tensor).toInts();
  }

  @Override
  public float[] readFloats(Tensor tensor) {
    float[] values = new float[Math.toIntExact(tensor.elements())];
    CpuTensor.of(tensor).get(0, values, values.length);
    return values;
  }

  @Override
  public void synchronize() {
    memory.checkOpen();
  }

  @Override
  public void receive(Device sender, Tensor from, Tensor into) {
    CpuTensor source = CpuTensor.of(from);
    CpuTensor target = CpuTensor.of(into);
    expect(
        "receive",
        source.shape().equals(target.shape()) && source.type() == target.type(),
        from,
        into);
    if (source.type() == DType.I32) {
      target.ints().put(0, source.ints(), 0, (int) source.elements());
    } else if (source.type() == DType.BF16) {
      target.copy(source);
    } else {
      target.floats().put(0, source.floats(), 0, (int) source.elements());
    }
  }

  @Override
  public void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    rowWork.embed(ids, table, scale, out);
  }

  @Override
  public void addRows(Tensor table, Tensor index, Tensor out) {
    rowWork.addRows(table, index, out);
  }

  @Override
  public void gatherRows(Tensor in, Tensor index, Tensor out) {
    rowWork.gatherRows(in, index, out);
  }

  @Override
  public void scatterAdd(Tensor in, Tensor index, Tensor out) {
    rowWork.scatterAdd(in, index, out);
  }

  @Override
  public void add(Tensor x, Tensor out) {
    rowWork.add(x, out);
  }

  @Override
  public void addBias(Tensor bias, Tensor out) {
    rowWork.addBias(bias, out);
  }

  @Override
  public void relu(Tensor x) {
    rowWork.relu(x);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    rowWork.rmsNorm(x, weight, epsilon, out);
  }

  @Override
  public void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    rowWork.layerNorm(x, weight, bias, epsilon, out);
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
      products.linear(
          CpuTensor.of(x).pointer(),
          CpuTensor.of(weight),
          0,
          CpuTensor.of(x).rowCount(),
          Math.toIntExact(x.width()),
          Math.toIntExact(out.width()),
          beta,
          CpuTensor.of(out).pointer());
    }
  }

  @Override
  public void rotary(Tensor x, Tensor frequency, Tensor positions) {
    attention.rotary(x, frequency, positions);
  }

  @Override
  public void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
    attention.append(in, slots, positions, cache);
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
    attention.run(
        CpuTensor.of(q),
        CpuTensor.of(keys),
        CpuTensor.of(values),
        batch,
        headSize,
        scale,
        CpuTensor.of(out));
  }

  @Override
  public void route(Tensor logits, boolean renormalize, Tensor chosen, Tensor weights) {
    router.route(logits, renormalize, chosen, weights);
  }

  @Override
  public void groupByExpert(Tensor chosen, Tensor local, ExpertGroups into) {
    router.groupByExpert(chosen, local, into);
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
    experts.run(
        weights, offsets, order, k, CpuTensor.of(x), CpuTensor.of(inner), CpuTensor.of(out));
  }

  @Override
  public void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out) {
    router.combine(in, groups, weights, out);
  }

  @Override
  public void argmax(Tensor logits, Tensor ids) {
    choice.argmax(logits, ids);
  }

  @Override
  public void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    choice.sample(logits, temperature, topP, uniform, ids);
  }

  @Override
  public void keep(Tensor in, Tensor step, Tensor log) {
    expect(
        "keep",
        in.elements() == log.width() && in.type() == log.type() && step.elements() == 1,
        in,
        step,
        log);
    int at = checked("keep", CpuTensor.of(step).ints().get(0), log);
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
      IntBuffer values = CpuTensor.of(tensor).ints();
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
      spans.add(new Timeline.Span(rank, stream, work, begin, now));
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

  private static List<Long> list(long[] shape) {
    return Arrays.stream(shape).boxed().toList();
  }
}
