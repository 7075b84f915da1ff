package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.RandomValues;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.Timeline;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * An NVIDIA GPU: one stream in its primary context, this project's kernels, cuBLAS for large
 * products of BF16. {@link Precision#FLOAT32} computes in F32 throughout, one kernel for all sizes,
 * so that a row's result does not depend on its batch; {@link Precision#BFLOAT16} holds weights and
 * activations in BF16 and adds up in F32. Not safe for several threads.
 */
public final class CudaDevice implements Device {
  private static final int MOST_EXPERTS = 512; // router.cu
  private static final int MOST_CHOICES = 32; // router.cu: a lane for each
  private static final int OWN_SHARED = 1024; // router.cu: more than norm_and_route declares
  private static final int MOST_HEAD_SIZE = 256; // attention.cu

  private static final long SMALL_CHANGE = 16L << 20; // next ids, draws and the like

  private final int rank;
  private final int gpu;
  private final boolean isTimed;
  private final Precision precision;
  private final long budget;
  private final CUdevice device = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final Stream stream = new Stream();
  private final List<Address> memory = new ArrayList<>();
  private final Map<String, CudaTensor> scratch = new HashMap<>();
  private final Marks marks;
  private final Staging staging;
  private final HostLink hostLink;
  private final Kernels kernels;
  private final Cublas cublas;
  private final Products products;
  private final CudaAttention attention;
  private final List<CUgraphExec> graphs = new ArrayList<>();
  private long allocated;
  private boolean repeating; // the operations of a graph, run or captured
  private boolean capturing;
  private boolean closed;

  /** How numbers are held. */
  public enum Precision {
    /** Everything in F32. */
    FLOAT32,
    /** Weights and activations in BF16, sums in F32. */
    BFLOAT16
  }

  /** A stream whose address other libraries can be told. */
  private static final class Stream extends CUstream {
    long value() {
      return getNativePointer();
    }
  }

  /** Why there is no GPU to open; empty if there is one. */
  public static String whyNone() {
    String missing = Cuda.missing();
    return missing.isEmpty() && Cuda.devices() == 0 ? "no NVIDIA GPU on this machine" : missing;
  }

  /** Number of GPUs, 0 if there are none or no driver. */
  public static int count() {
    return Cuda.devices();
  }

  /** Bytes of a GPU's memory that are free now. */
  public static long freeBytes(int gpu) {
    CUdevice device = new CUdevice();
    CUcontext context = new CUcontext();
    long[] free = new long[1];
    check(JCudaDriver.cuDeviceGet(device, gpu), "cuDeviceGet");
    check(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
    try {
      check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
      check(JCudaDriver.cuMemGetInfo(free, new long[1]), "cuMemGetInfo");
    } finally {
      JCudaDriver.cuDevicePrimaryCtxRelease(device);
    }

    return free[0];
  }

  /**
   * Bytes that a device allocates by itself at most, beside a model's tensors: for cuBLAS, and
   * scratch of operations, twice as it grows while captured steps hold on to the smaller one.
   *
   * @param rows tokens of a step
   * @param capacity entries of a cache that a row sees at most
   * @param heads query heads
   * @param width of a row, and of all heads together
   * @param choices experts of a token
   * @param logits numbers of the logits of a step
   */
  public static long ownBytes(
      int rows, int capacity, int heads, int width, int choices, long logits) {
    long attention = CudaAttention.mostParts(rows, capacity) * (width + 2L * heads) * Float.BYTES;
    long experts = (long) rows * choices * (Integer.BYTES + 2L * width);
    return Cublas.WORKSPACE + SMALL_CHANGE + 2 * (attention + experts + logits * Float.BYTES);
  }

  /**
   * Opens a GPU.
   *
   * @param rank its number among the ranks of a run; several ranks may share a GPU
   * @param gpu which, from 0
   * @param budget bytes of its memory that may be used; {@link Long#MAX_VALUE}: what is free
   * @throws IllegalStateException if there is no such GPU or the budget cannot be met, with the
   *     reason
   */
  public CudaDevice(int rank, int gpu, Precision precision, long budget) {
    this(rank, gpu, precision, budget, false);
  }

  /** Opens a GPU and keeps a span for each mark. */
  public static CudaDevice timed(int rank, int gpu, Precision precision, long budget) {
    return new CudaDevice(rank, gpu, precision, budget, true);
  }

  private CudaDevice(int rank, int gpu, Precision precision, long budget, boolean isTimed) {
    String missing = whyNone();
    if (!missing.isEmpty()) {
      throw new IllegalStateException("Cannot use device cuda: " + missing);
    }

    if (gpu < 0 || gpu >= Cuda.devices()) {
      throw new IllegalStateException(
          "Cannot use GPU %d: this machine has %d, from 0".formatted(gpu, Cuda.devices()));
    }

    this.rank = rank;
    this.isTimed = isTimed;
    this.gpu = gpu;
    this.precision = precision;
    check(JCudaDriver.cuDeviceGet(device, gpu), "cuDeviceGet");
    check(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
    use();
    long[] free = new long[1];
    long[] total = new long[1];
    check(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo");
    if (budget != Long.MAX_VALUE && budget > free[0]) {
      JCudaDriver.cuDevicePrimaryCtxRelease(device);
      throw new IllegalStateException(
          "Cannot use %d bytes of %s: %d are free of %d"
              .formatted(budget, name(), free[0], total[0]));
    }

    this.budget = Math.min(budget, free[0]);
    check(
        JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate");
    this.staging = new Staging(stream);
    this.kernels = new Kernels(stream);
    this.marks = new Marks(rank, "compute", stream);
    this.hostLink = new HostLink(rank, stream, isTimed);
    this.cublas =
        new Cublas(
            stream.value(),
            (CudaTensor) allocate("cuBLAS workspace", DType.F32, Cublas.WORKSPACE / Float.BYTES));
    this.products = new Products(this, kernels, cublas);
    this.attention = new CudaAttention(this, kernels);
  }

  /** Makes this device's context the thread's. */
  private void use() {
    check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
  }

  @Override
  public String name() {
    return "cuda:%d (rank %d)".formatted(gpu, rank);
  }

  @Override
  public DType weightType() {
    return precision == Precision.BFLOAT16 ? DType.BF16 : DType.F32;
  }

  @Override
  public DType activationType() {
    return weightType();
  }

  @Override
  public boolean sharesMemoryWith(Device other) {
    return other instanceof CudaDevice cuda && cuda.gpu == gpu;
  }

  /** Whether what is called now will be repeated: no waiting, and one kernel whatever the data. */
  boolean isRepeating() {
    return repeating;
  }

  // Memory

  @Override
  public Tensor allocate(String name, DType type, long... shape) {
    use();
    List<Long> lengths = LongStream.of(shape).boxed().toList();
    CudaTensor tensor = new CudaTensor(this, type, lengths, new Address(), 0);
    long bytes = Math.max(tensor.bytes(), 1);
    if (bytes > budget - allocated) {
      throw new IllegalStateException(
          "Cannot hold %s %s on %s: %d bytes, %d of its %d are left"
              .formatted(name, lengths, name(), bytes, budget - allocated, budget));
    }

    check(
        JCudaDriver.cuMemAlloc(tensor.memory(), bytes),
        "allocating %d bytes for %s".formatted(bytes, name));
    memory.add(tensor.memory());
    allocated += bytes;
    check(
        JCudaDriver.cuMemsetD8Async(tensor.pointer(), (byte) 0, bytes, stream), "clearing " + name);
    return tensor;
  }

  /** Memory for one operation, kept and reused; grown only outside captures. */
  CudaTensor scratch(String name, DType type, long... shape) {
    List<Long> lengths = LongStream.of(shape).boxed().toList();
    CudaTensor held = scratch.get(name);
    long elements = Arrays.stream(shape).reduce(1, Math::multiplyExact);
    if (held == null || held.elements() < elements) {
      if (capturing) {
        throw new IllegalStateException(
            "Cannot grow %s to %s while a step is captured: run it once before"
                .formatted(name, lengths));
      }

      if (held != null) {
        synchronize();
        if (graphs.isEmpty()) { // else it may be in use
          free(held);
        }
      }

      held = (CudaTensor) allocate(name, type, elements);
      scratch.put(name, held);
    }

    return new CudaTensor(this, type, lengths, held.memory(), 0);
  }

  private void free(CudaTensor tensor) {
    check(JCudaDriver.cuMemFree(tensor.memory()), "cuMemFree");
    memory.removeIf(address -> address == tensor.memory());
    allocated -= Math.max(tensor.bytes(), 1);
  }

  @Override
  public Tensor rows(Tensor tensor, long first, long count) {
    CudaTensor whole = (CudaTensor) tensor;
    if (first < 0 || count < 0 || first + count > whole.size(0)) {
      throw new IllegalArgumentException(
          "Invalid rows %d to %d of a tensor %s".formatted(first, first + count, whole.shape()));
    }

    List<Long> shape = new ArrayList<>(whole.shape());
    shape.set(0, count);
    return whole.view(first * whole.width() * whole.type().bytes(), shape);
  }

  @Override
  public Tensor reshape(Tensor tensor, long... shape) {
    CudaTensor view = ((CudaTensor) tensor).view(0, LongStream.of(shape).boxed().toList());
    Shapes.same("reshape", tensor, view);
    return view;
  }

  @Override
  public void load(TensorData values, Tensor into) {
    use();
    CudaTensor tensor = (CudaTensor) into;
    if (values.elements() != tensor.elements()) {
      throw new IllegalArgumentException(
          "Cannot load %s %s into %s".formatted(values.name(), values.shape(), tensor.shape()));
    }

    if (values instanceof RandomValues random) {
      kernels
          .on("fill_" + tensor.letter(), 2048, 256)
          .with(tensor)
          .with(tensor.elements())
          .with(random.seed())
          .with(random.exponent())
          .with(random.zeros())
          .run();
    } else {
      staging.load(values, tensor);
    }
  }

  @Override
  public void write(Tensor tensor, int... values) {
    use();
    checkSize(tensor, values.length);
    staging.write(values, (CudaTensor) tensor);
  }

  @Override
  public void write(Tensor tensor, float... values) {
    use();
    checkSize(tensor, values.length);
    staging.write(values, (CudaTensor) tensor);
  }

  private static void checkSize(Tensor tensor, int values) {
    if (values > tensor.elements()) {
      throw new IllegalArgumentException(
          "Cannot write %d values into a tensor %s".formatted(values, tensor));
    }
  }

  @Override
  public int[] read(Tensor tensor) {
    use();
    return staging.readInts((CudaTensor) tensor);
  }

  @Override
  public float[] readFloats(Tensor tensor) {
    use();
    return staging.readFloats((CudaTensor) tensor);
  }

  @Override
  public void synchronize() {
    use();
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for " + name());
  }

  @Override
  public void receive(Device sender, Tensor from, Tensor into) {
    CudaTensor source = (CudaTensor) from;
    CudaTensor target = (CudaTensor) into;
    Shapes.same("receive", source, target);
    CudaDevice other = (CudaDevice) sender;
    if (other == this) {
      use();
      check(
          JCudaDriver.cuMemcpyDtoDAsync(target.pointer(), source.pointer(), source.bytes(), stream),
          "copying on " + name());
      return;
    }

    CUevent ready = other.event();
    use();
    check(JCudaDriver.cuStreamWaitEvent(stream, ready, 0), "waiting for " + other.name());
    check(
        JCudaDriver.cuMemcpyPeerAsync(
            target.pointer(), context, source.pointer(), other.context, source.bytes(), stream),
        "copying from %s to %s".formatted(other.name(), name()));
    CUevent done = event();
    other.use();
    check(JCudaDriver.cuStreamWaitEvent(other.stream, done, 0), "waiting for " + name());
    JCudaDriver.cuEventDestroy(ready);
    JCudaDriver.cuEventDestroy(done);
  }

  @Override
  public Tensor allocateOnHost(String name, DType type, long... shape) {
    use();
    return hostLink.allocate(name, type, LongStream.of(shape).boxed().toList());
  }

  @Override
  public void store(Tensor tensor, Tensor onHost) {
    use();
    hostLink.store((CudaTensor) tensor, onHost);
  }

  @Override
  public Runnable fetch(Tensor onHost, Tensor into) {
    use();
    return hostLink.fetch(onHost, (CudaTensor) into);
  }

  /** An event after all work so far. */
  private CUevent event() {
    use();
    CUevent event = new CUevent();
    check(JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    check(JCudaDriver.cuEventRecord(event, stream), "cuEventRecord");
    return event;
  }

  @Override
  public Runnable repeatable(Runnable operations) {
    repeating = true;
    try {
      operations.run();
      return capture(operations);
    } finally {
      repeating = false;
    }
  }

  private Runnable capture(Runnable operations) {
    use();
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for " + name());
    CUgraph graph = new CUgraph();
    check(
        JCudaDriver.cuStreamBeginCapture(
            stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture");
    capturing = true;
    try {
      operations.run();
    } finally {
      capturing = false;
      check(JCudaDriver.cuStreamEndCapture(stream, graph), "cuStreamEndCapture");
    }

    CUgraphExec executable = new CUgraphExec();
    check(JCudaDriver.cuGraphInstantiate(executable, graph, 0), "cuGraphInstantiate");
    JCudaDriver.cuGraphDestroy(graph);
    graphs.add(executable);
    return () -> {
      use();
      mark("graph");
      check(JCudaDriver.cuGraphLaunch(executable, stream), "cuGraphLaunch");
      mark("");
    };
  }

  // Rows

  @Override
  public void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    use();
    CudaTensor from = (CudaTensor) table;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("embed_" + from.letter() + to.letter(), to.rows(), 256)
        .with((CudaTensor) ids)
        .with(from)
        .with(scale)
        .with(to)
        .with(to.columns())
        .run();
  }

  @Override
  public void addRows(Tensor table, Tensor index, Tensor out) {
    use();
    CudaTensor from = (CudaTensor) table;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("add_rows_" + from.letter() + to.letter(), to.rows(), 256)
        .with(from)
        .with((CudaTensor) index)
        .with(to)
        .with(to.columns())
        .run();
  }

  @Override
  public void gatherRows(Tensor in, Tensor index, Tensor out) {
    use();
    if (in.type() == out.type()) {
      gather((CudaTensor) in, (CudaTensor) index, (CudaTensor) out, ((CudaTensor) out).rows());
    } else {
      embed(index, in, 1, out);
    }
  }

  /** The first {@code count} rows of a gather. */
  void gather(CudaTensor in, CudaTensor index, CudaTensor out, int count) {
    Shapes.sameType("gatherRows", in, out);
    int unit = unit(in);
    kernels
        .on("gather_" + unit, count, 256)
        .with(in)
        .with(index)
        .with(out)
        .with(out.columns() * out.type().bytes() / unit)
        .run();
  }

  /** The largest unit of 16, 4 or 2 bytes that rows are whole multiples of. */
  private static int unit(CudaTensor tensor) {
    int bytes = tensor.columns() * tensor.type().bytes();
    return bytes % 16 == 0 && tensor.address() % 16 == 0 ? 16 : bytes % 4 == 0 ? 4 : 2;
  }

  @Override
  public void scatterAdd(Tensor in, Tensor index, Tensor out) {
    use();
    CudaTensor from = (CudaTensor) in;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("scatter_add_" + from.letter() + to.letter(), (to.columns() + 255) / 256, 256)
        .with(from)
        .with((CudaTensor) index)
        .with(to)
        .with(from.rows())
        .with(to.columns())
        .run();
  }

  @Override
  public void add(Tensor x, Tensor out) {
    Shapes.same("add", x, out);
    addValues((CudaTensor) x, (CudaTensor) out, 0);
  }

  @Override
  public void addBias(Tensor bias, Tensor out) {
    addValues((CudaTensor) bias, (CudaTensor) out, ((CudaTensor) out).columns());
  }

  private void addValues(CudaTensor x, CudaTensor out, int period) {
    use();
    kernels
        .on("add_" + x.letter() + out.letter(), (out.elements() + 255) / 256, 256)
        .with(x)
        .with(out)
        .with(out.elements())
        .with(period)
        .run();
  }

  @Override
  public void relu(Tensor x) {
    use();
    CudaTensor tensor = (CudaTensor) x;
    kernels
        .on("relu_" + tensor.letter(), (tensor.elements() + 255) / 256, 256)
        .with(tensor)
        .with(tensor.elements())
        .run();
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    use();
    CudaTensor from = (CudaTensor) x;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("rms_norm_" + from.letter() + to.letter(), to.rows(), 512)
        .with(from)
        .with((CudaTensor) weight)
        .with((float) epsilon)
        .with(to)
        .with(to.columns())
        .run();
  }

  @Override
  public void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    use();
    CudaTensor from = (CudaTensor) x;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("layer_norm_" + from.letter() + to.letter(), to.rows(), 512)
        .with(from)
        .with((CudaTensor) weight)
        .with((CudaTensor) bias)
        .with((float) epsilon)
        .with(to)
        .with(to.columns())
        .run();
  }

  // Matrix products

  @Override
  public void linear(Tensor x, Tensor weight, Tensor out) {
    linear(x, weight, null, out, false);
  }

  @Override
  public void linearAdd(Tensor x, Tensor weight, Tensor out) {
    linear(x, weight, null, out, true);
  }

  @Override
  public void linear(Tensor x, Tensor weight, Tensor bias, Tensor out) {
    linear(x, weight, bias, out, false);
  }

  @Override
  public void linearAdd(Tensor x, Tensor weight, Tensor bias, Tensor out) {
    linear(x, weight, bias, out, true);
  }

  private void linear(Tensor x, Tensor weight, Tensor bias, Tensor out, boolean add) {
    use();
    Shapes.expect(
        "linear",
        x.width() == weight.width() && weight.size(0) == out.width() && x.size(0) == out.size(0),
        x,
        weight,
        out);
    products.linear((CudaTensor) x, (CudaTensor) weight, (CudaTensor) bias, (CudaTensor) out, add);
  }

  // Attention

  @Override
  public void rotary(Tensor x, Tensor frequency, Tensor positions) {
    use();
    CudaTensor tensor = (CudaTensor) x;
    int dim = Math.toIntExact(2 * frequency.elements());
    kernels
        .on("rotary_" + tensor.letter(), tensor.columns() / dim, tensor.rows(), 1, 64)
        .with(tensor)
        .with((CudaTensor) frequency)
        .with((CudaTensor) positions)
        .with(dim)
        .run();
  }

  @Override
  public void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
    use();
    CudaTensor from = (CudaTensor) in;
    CudaTensor to = (CudaTensor) cache;
    Shapes.sameType("append", from, to);
    int unit = unit(from);
    kernels
        .on("append_" + unit, from.rows(), 256)
        .with(from)
        .with((CudaTensor) slots)
        .with((CudaTensor) positions)
        .with(to)
        .with(Math.toIntExact(to.size(1)))
        .with(from.columns() * from.type().bytes() / unit)
        .run();
  }

  @Override
  public void attention(
      Tensor q, Tensor keys, Tensor values, Batch batch, int headSize, float scale, Tensor out) {
    use();
    Shapes.atMost("head size", headSize, MOST_HEAD_SIZE);
    attention.run(
        (CudaTensor) q,
        (CudaTensor) keys,
        (CudaTensor) values,
        batch,
        headSize,
        scale,
        (CudaTensor) out);
  }

  @Override
  public void queriesKeysValues(
      Tensor x,
      Tensor weight,
      Tensor frequency,
      Batch batch,
      Tensor scratch,
      Tensor q,
      Tensor keys,
      Tensor values) {
    linear(x, weight, scratch);
    CudaTensor all = (CudaTensor) scratch;
    CudaTensor cache = (CudaTensor) keys;
    int headSize = Math.toIntExact(2 * frequency.elements());
    int heads = ((CudaTensor) q).columns() / headSize;
    int keyHeads = Math.toIntExact(cache.size(2)) / headSize;
    Shapes.expect(
        "queriesKeysValues", all.columns() == (heads + 2 * keyHeads) * headSize, all, q, cache);
    kernels
        .on("split_heads_" + all.letter(), heads + 2L * keyHeads, all.rows(), 1, 64)
        .with(all)
        .with((CudaTensor) batch.slots())
        .with((CudaTensor) batch.positions())
        .with((CudaTensor) frequency)
        .with((CudaTensor) q)
        .with(cache)
        .with((CudaTensor) values)
        .with(heads)
        .with(keyHeads)
        .with(Math.toIntExact(cache.size(1)))
        .with(headSize)
        .run();
  }

  // Experts

  @Override
  public void normAndRoute(
      Tensor x,
      Tensor weight,
      double epsilon,
      Tensor router,
      boolean renormalize,
      Tensor normed,
      Tensor logits,
      Tensor experts,
      Tensor weights) {
    use();
    CudaTensor from = (CudaTensor) x;
    CudaTensor to = (CudaTensor) normed;
    int all = Math.toIntExact(router.size(0));
    int k = ((CudaTensor) experts).columns();
    Shapes.atMost("experts of a layer", all, MOST_EXPERTS);
    Shapes.atMost("experts of a token", k, MOST_CHOICES);
    int shared = (to.columns() + all) * Float.BYTES;
    if (shared + OWN_SHARED > Kernels.PLAIN_SHARED) {
      Device.super.normAndRoute(
          x, weight, epsilon, router, renormalize, normed, logits, experts, weights);
      return;
    }

    kernels
        .on("norm_and_route_" + from.letter() + to.letter(), to.rows(), 512)
        .shared(shared)
        .with(from)
        .with((CudaTensor) weight)
        .with((float) epsilon)
        .with((CudaTensor) router)
        .with(to)
        .with((CudaTensor) logits)
        .with(to.columns())
        .with(all)
        .with(k)
        .with(renormalize ? 1 : 0)
        .with((CudaTensor) experts)
        .with((CudaTensor) weights)
        .run();
  }

  @Override
  public void route(Tensor logits, boolean renormalize, Tensor experts, Tensor weights) {
    use();
    CudaTensor from = (CudaTensor) logits;
    int k = ((CudaTensor) experts).columns();
    Shapes.atMost("experts of a layer", from.columns(), MOST_EXPERTS);
    Shapes.atMost("experts of a token", k, MOST_CHOICES);
    kernels
        .on("route", (from.rows() + 7) / 8, 256)
        .with(from)
        .with(from.rows())
        .with(from.columns())
        .with(k)
        .with(renormalize ? 1 : 0)
        .with((CudaTensor) experts)
        .with((CudaTensor) weights)
        .run();
  }

  @Override
  public void groupByExpert(Tensor experts, Tensor local, ExpertGroups into) {
    use();
    int here = Math.toIntExact(into.offsets().elements() - 1);
    Shapes.atMost("experts of a layer on a rank", here, MOST_EXPERTS);
    kernels
        .on("sort_by_expert", 1, 512)
        .with((CudaTensor) experts)
        .with((CudaTensor) local)
        .with(Math.toIntExact(experts.elements()))
        .with(here)
        .with((CudaTensor) into.order())
        .with((CudaTensor) into.place())
        .with((CudaTensor) into.offsets())
        .run();
  }

  @Override
  public void experts(
      ExpertWeights weights, ExpertGroups groups, Tensor x, Tensor inner, Tensor out) {
    use();
    products.experts(weights, groups, (CudaTensor) x, (CudaTensor) inner, (CudaTensor) out);
  }

  @Override
  public void combine(Tensor in, ExpertGroups groups, Tensor weights, Tensor out) {
    use();
    CudaTensor from = (CudaTensor) in;
    CudaTensor to = (CudaTensor) out;
    kernels
        .on("combine_" + from.letter() + to.letter(), (to.columns() + 255) / 256, to.rows(), 1, 256)
        .with(from)
        .with((CudaTensor) groups.place())
        .with((CudaTensor) weights)
        .with(to)
        .with(((CudaTensor) weights).columns())
        .with(to.columns())
        .with(0)
        .run();
  }

  @Override
  public void combineAndNorm(
      Tensor in,
      ExpertGroups groups,
      Tensor weights,
      Tensor x,
      Tensor norm,
      double epsilon,
      Tensor normed) {
    use();
    CudaTensor from = (CudaTensor) in;
    CudaTensor residual = (CudaTensor) x;
    Shapes.sameType("combineAndNorm", in, normed);
    kernels
        .on("combine_and_norm_" + from.letter() + residual.letter(), residual.rows(), 512)
        .with(from)
        .with((CudaTensor) groups.place())
        .with((CudaTensor) weights)
        .with(residual)
        .with(((CudaTensor) weights).columns())
        .with((CudaTensor) norm)
        .with((float) epsilon)
        .with((CudaTensor) normed)
        .with(residual.columns())
        .run();
  }

  // The end of a step

  @Override
  public void argmax(Tensor logits, Tensor ids) {
    use();
    CudaTensor from = (CudaTensor) logits;
    kernels
        .on("argmax", from.rows(), 1024)
        .with(from)
        .with(from.columns())
        .with((CudaTensor) ids)
        .run();
  }

  @Override
  public void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    use();
    CudaTensor from = (CudaTensor) logits;
    kernels
        .on("sample", from.rows(), 1024)
        .with(from)
        .with(scratch("sampling weights", DType.F32, from.rows(), from.columns()))
        .with((CudaTensor) uniform)
        .with(temperature)
        .with(topP)
        .with(from.columns())
        .with((CudaTensor) ids)
        .run();
  }

  @Override
  public void keep(Tensor in, Tensor step, Tensor log) {
    use();
    CudaTensor from = (CudaTensor) in;
    Shapes.expect("keep", in.elements() == log.width() && in.type() == log.type(), in, step, log);
    kernels
        .on("append_4", 1, 256)
        .with(from)
        .with((CudaTensor) step)
        .with((CudaTensor) step)
        .with((CudaTensor) log)
        .with(0) // a cache of one slot
        .with(Math.toIntExact(from.bytes() / 4))
        .run();
  }

  @Override
  public void advance(Tensor ids, Tensor positions, Tensor visible, Tensor history, Tensor step) {
    use();
    int rows = Math.toIntExact(ids.elements());
    Shapes.expect(
        "advance",
        positions.elements() == rows && visible.elements() == rows && history.width() == rows,
        ids,
        positions,
        visible,
        history);
    kernels
        .on("advance", 1, 128)
        .with((CudaTensor) ids)
        .with((CudaTensor) positions)
        .with((CudaTensor) visible)
        .with((CudaTensor) history)
        .with((CudaTensor) step)
        .with(rows)
        .run();
  }

  // What happened

  @Override
  public void mark(String work) {
    if (isTimed && !capturing) {
      use();
      marks.mark(work);
    }
  }

  @Override
  public List<Timeline.Span> takeSpans() {
    synchronize();
    hostLink.synchronize();
    List<Timeline.Span> spans = new ArrayList<>(marks.take());
    spans.addAll(hostLink.marks().take());
    return spans;
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }

    closed = true;
    use();
    JCudaDriver.cuStreamSynchronize(stream);
    graphs.forEach(JCudaDriver::cuGraphExecDestroy);
    marks.close();
    cublas.destroy();
    kernels.unload();
    hostLink.close();
    staging.free();
    memory.forEach(JCudaDriver::cuMemFree);
    JCudaDriver.cuStreamDestroy(stream);
    JCudaDriver.cuDevicePrimaryCtxRelease(device);
  }
}
