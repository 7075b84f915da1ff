package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.HostCopy;
import io.expertatlas.runtime.RandomValues;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.Timeline;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * An NVIDIA GPU: one stream in its primary context, this project's kernels, cuBLAS for large
 * products of BF16. {@link Precision#FLOAT32} computes in F32 throughout, one kernel for all sizes,
 * so that a row's result does not depend on its batch; {@link Precision#BFLOAT16} holds weights and
 * activations in BF16 and adds up in F32. Not safe for several threads.
 */
public final class CudaDevice implements Device {
  private static final long SMALL_CHANGE = 16L << 20; // next ids, draws and the like

  private final int rank;
  private final int gpu;
  private final boolean isTimed;
  private final Precision precision;
  private final CUdevice device = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final Stream stream = new Stream();
  private final CudaGraphs graphs;
  private final CudaMemory memory;
  private final Marks marks;
  private final Staging staging;
  private final HostLink hostLink;
  private final Kernels kernels;
  private final Cublas cublas;
  private final Products products;
  private final RowKernels rowKernels;
  private final CudaAttention attention;
  private final RouterKernels routerKernels;
  private final StepKernels stepKernels;
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

  /**
   * Refuses a GPU that is not there.
   *
   * @throws IllegalStateException with the reason
   */
  static void requireGpu(int gpu) {
    String missing = whyNone();
    if (!missing.isEmpty()) {
      throw new IllegalStateException("Cannot use device cuda: " + missing);
    }

    if (gpu < 0 || gpu >= Cuda.devices()) {
      throw new IllegalStateException(
          "Cannot use GPU %d: this machine has %d, from 0".formatted(gpu, Cuda.devices()));
    }
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
    requireGpu(gpu);
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

    check(
        JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate");
    this.graphs = new CudaGraphs(this, stream);
    this.memory = new CudaMemory(this, stream, graphs, Math.min(budget, free[0]));
    this.kernels = new Kernels(stream, Kernels.MODEL);
    this.staging = new Staging(stream, kernels);
    this.marks = new Marks(rank, "compute", stream);
    this.hostLink = new HostLink(rank, stream, isTimed);
    this.cublas =
        new Cublas(
            stream.value(),
            (CudaTensor) allocate("cuBLAS workspace", DType.F32, Cublas.WORKSPACE / Float.BYTES));
    this.rowKernels = new RowKernels(kernels);
    this.products = new Products(this, kernels, rowKernels, cublas);
    this.attention = new CudaAttention(this, kernels);
    this.routerKernels = new RouterKernels(kernels);
    this.stepKernels = new StepKernels(this, kernels);
  }

  /** Makes this device's context the thread's. */
  void use() {
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
    return graphs.isRepeating();
  }

  // Memory

  @Override
  public Tensor allocate(String name, DType type, long... shape) {
    use();
    return memory.allocate(name, type, shape);
  }

  /** Memory for one operation, kept and reused; grown only outside captures. */
  CudaTensor scratch(String name, DType type, long... shape) {
    return memory.scratch(name, type, shape);
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
        () -> "copying from %s to %s".formatted(other.name(), name()));
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
  public Tensor mapped(Tensor onHost) {
    use();
    return hostLink.mapped(this, onHost);
  }

  @Override
  public void store(Tensor tensor, Tensor onHost) {
    use();
    hostLink.store((CudaTensor) tensor, onHost);
  }

  @Override
  public HostCopy fetch(Tensor onHost, Tensor into) {
    use();
    return hostLink.fetch(onHost, (CudaTensor) into);
  }

  @Override
  public HostCopy fetchAhead(Tensor onHost, Tensor into, long first, long count) {
    use();
    return hostLink.fetchAhead(onHost, (CudaTensor) into, first, count);
  }

  @Override
  public boolean isIdle() {
    use();
    return Cuda.isDone(JCudaDriver.cuStreamQuery(stream), "asking " + name());
  }

  /** An event after all work so far. */
  private CUevent event() {
    use();
    return Cuda.event(stream);
  }

  @Override
  public Runnable repeatable(Runnable operations) {
    return graphs.repeatable(operations);
  }

  // Rows

  @Override
  public void embed(Tensor ids, Tensor table, float scale, Tensor out) {
    use();
    rowKernels.embed(ids, table, scale, out);
  }

  @Override
  public void addRows(Tensor table, Tensor index, Tensor out) {
    use();
    rowKernels.addRows(table, index, out);
  }

  @Override
  public void gatherRows(Tensor in, Tensor index, Tensor out) {
    use();
    rowKernels.gatherRows(in, index, out);
  }

  @Override
  public void scatterAdd(Tensor in, Tensor index, Tensor out) {
    use();
    rowKernels.scatterAdd(in, index, out);
  }

  @Override
  public void add(Tensor x, Tensor out) {
    use();
    rowKernels.add(x, out);
  }

  @Override
  public void addBias(Tensor bias, Tensor out) {
    use();
    rowKernels.addBias(bias, out);
  }

  @Override
  public void relu(Tensor x) {
    use();
    rowKernels.relu(x);
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, double epsilon, Tensor out) {
    use();
    rowKernels.rmsNorm(x, weight, epsilon, out);
  }

  @Override
  public void layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon, Tensor out) {
    use();
    rowKernels.layerNorm(x, weight, bias, epsilon, out);
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
    attention.rotary(x, frequency, positions);
  }

  @Override
  public void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
    use();
    attention.append(in, slots, positions, cache);
  }

  @Override
  public void attention(
      Tensor q, Tensor keys, Tensor values, Batch batch, int headSize, float scale, Tensor out) {
    use();
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
    attention.split(scratch, frequency, batch, q, keys, values);
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
    if (routerKernels.fits(normed, router, experts)) {
      routerKernels.normAndRoute(
          x, weight, epsilon, router, renormalize, normed, logits, experts, weights);
    } else {
      Device.super.normAndRoute(
          x, weight, epsilon, router, renormalize, normed, logits, experts, weights);
    }
  }

  @Override
  public void route(Tensor logits, boolean renormalize, Tensor experts, Tensor weights) {
    use();
    routerKernels.route(logits, renormalize, experts, weights);
  }

  @Override
  public void groupByExpert(Tensor experts, Tensor local, ExpertGroups into) {
    use();
    routerKernels.groupByExpert(experts, local, into);
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
    routerKernels.combine(in, groups, weights, out);
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
    routerKernels.combineAndNorm(in, groups, weights, x, norm, epsilon, normed);
  }

  // The end of a step

  @Override
  public void argmax(Tensor logits, Tensor ids) {
    use();
    stepKernels.argmax(logits, ids);
  }

  @Override
  public void sample(Tensor logits, float temperature, float topP, Tensor uniform, Tensor ids) {
    use();
    stepKernels.sample(logits, temperature, topP, uniform, ids);
  }

  @Override
  public void keep(Tensor in, Tensor step, Tensor log) {
    use();
    stepKernels.keep(in, step, log);
  }

  @Override
  public void advance(Tensor ids, Tensor positions, Tensor visible, Tensor history, Tensor step) {
    use();
    stepKernels.advance(ids, positions, visible, history, step);
  }

  // What happened

  @Override
  public void mark(String work) {
    if (isTimed && !graphs.isCapturing()) {
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
    graphs.destroy();
    marks.close();
    cublas.destroy();
    kernels.unload();
    hostLink.close();
    staging.free();
    memory.freeAll();
    JCudaDriver.cuStreamDestroy(stream);
    JCudaDriver.cuDevicePrimaryCtxRelease(device);
  }
}
