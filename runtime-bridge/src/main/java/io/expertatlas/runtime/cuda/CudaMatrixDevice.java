package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import io.expertatlas.runtime.matrix.Choices;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.matrix.RowList;
import java.nio.FloatBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Supplier;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUevent;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * Training's matrices on an NVIDIA GPU, in floats: a stream that computes, one for loads beside it,
 * one for stores; products by cuBLAS, everything else by this project's kernels. The same calls
 * give the same bits.
 *
 * <p>All matrices lie in one region, taken at the start: those of a computation from its low end,
 * lasting ones from its high end. Host numbers are copied fastest from and to {@link #pinned}
 * memory.
 */
public final class CudaMatrixDevice implements MatrixDevice {
  /** Bytes of gradients whose memory is given up together, when they are on the host. */
  private static final long STORED_TOGETHER = 32L << 20;

  /** What cuBLAS loads of its kernels takes less. */
  private static final long KERNEL_BYTES = 512L << 20;

  /** Bytes of the GPU's memory that must be free beside a device's budget. */
  public static final long OWN_BYTES = Cublas.WORKSPACE + Uploads.BYTES + KERNEL_BYTES;

  private final int gpu;
  private final long budget;
  private final boolean tensorFloat32;
  private final CUdevice device = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final Stream compute = new Stream();
  private final Events events = new Events();
  private final CudaRegion region;
  private final Transfers transfers;
  private final Uploads uploads;
  private final PinnedPieces pieces;
  private final Kernels kernels;
  private final FloatBlas blas;
  private final MatrixProducts products;
  private final Deque<Held> scopes = new ArrayDeque<>();
  private final Set<Integer> peers = new TreeSet<>(); // GPUs that copy directly, or cannot
  private boolean closed;

  /** A stream whose address other libraries can be told. */
  private static final class Stream extends CUstream {
    long value() {
      return getNativePointer();
    }
  }

  /**
   * Opens a GPU; how many there are, and whether, says {@link CudaDevice}.
   *
   * @param gpu which, from 0
   * @param budget bytes for matrices, beside {@link #OWN_BYTES}
   * @param tensorFloat32 whether products may round their factors to TF32 (10 bits of fraction),
   *     many times as fast
   * @throws IllegalStateException if there is no such GPU or less memory is free, with the numbers
   */
  public CudaMatrixDevice(int gpu, long budget, boolean tensorFloat32) {
    CudaDevice.requireGpu(gpu);
    this.gpu = gpu;
    this.budget = budget;
    this.tensorFloat32 = tensorFloat32;
    check(JCudaDriver.cuDeviceGet(device, gpu), "cuDeviceGet");
    check(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
    use();
    long[] free = new long[1];
    check(JCudaDriver.cuMemGetInfo(free, new long[1]), "cuMemGetInfo");
    if (budget < 0 || budget > free[0] - OWN_BYTES) {
      JCudaDriver.cuDevicePrimaryCtxRelease(device);
      throw new IllegalStateException(
          "Cannot use %,d bytes and %,d beside them of %s: %,d are free"
              .formatted(budget, OWN_BYTES, name(), free[0]));
    }

    check(
        JCudaDriver.cuStreamCreate(compute, CUstream_flags.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate");
    this.region = new CudaRegion(name(), budget, compute, events);
    this.kernels =
        new Kernels(compute, tensorFloat32 ? Kernels.TRAINING : Kernels.TRAINING_IN_FULL);
    this.transfers = new Transfers(compute, kernels, events);
    this.uploads = new Uploads(compute, kernels, events);
    this.pieces = new PinnedPieces(compute, kernels, events);
    this.blas = new FloatBlas(compute.value(), tensorFloat32);
    this.products = new MatrixProducts(this, blas, tensorFloat32);
  }

  private void use() {
    check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
  }

  @Override
  public String name() {
    return "cuda:" + gpu;
  }

  /** Bytes for matrices. */
  public long budget() {
    return budget;
  }

  @Override
  public int numberBytes() {
    return Float.BYTES;
  }

  @Override
  public int rowsOfSum() {
    return tensorFloat32 ? MatrixProducts.WORDS : 1;
  }

  @Override
  public RowList rowList(int[] indices, double[] weights) {
    return new CudaRowList(this, indices, weights);
  }

  // What operations need

  Kernels.Launch on(String kernel, long blocks, int threads) {
    use();
    return kernels.on(kernel, blocks, threads);
  }

  Kernels.Launch on(String kernel, long blocksX, long blocksY, int threads) {
    use();
    return kernels.on(kernel, blocksX, blocksY, 1, threads);
  }

  FloatBlas blas() {
    use();
    return blas;
  }

  MatrixProducts products() {
    use();
    return products;
  }

  /** Whether products may round their factors to TF32. */
  boolean tensorFloat32() {
    return tensorFloat32;
  }

  Uploads uploads() {
    use();
    return uploads;
  }

  CudaRegion region() {
    return region;
  }

  /** A matrix of the innermost scope, not cleared. */
  CudaMatrix make(int rows, int columns) {
    Held scope = scopes.peek();
    CudaMatrix matrix = new CudaMatrix(this, rows, columns);
    if (matrix.bytes() > 0) {
      use();
      matrix.lie(region.take(matrix.bytes(), false));
    }

    if (scope != null) {
      scope.add(matrix);
    }

    return matrix;
  }

  void clear(CudaMatrix matrix) {
    if (matrix.bytes() > 0) {
      use();
      check(
          JCudaDriver.cuMemsetD8Async(matrix.pointer(0), (byte) 0, matrix.bytes(), compute),
          "clearing a matrix");
    }
  }

  void read(CudaMatrix matrix, int first, FloatBuffer into) {
    use();
    transfers.read(matrix, first, into);
  }

  /** Begins to copy a matrix; what is returned waits and fills a buffer's rest, on any thread. */
  Consumer<FloatBuffer> beginRead(CudaMatrix matrix) {
    use();
    PinnedPieces.Leaving leaving = pieces.leave(matrix);
    return into -> {
      use();
      leaving.end(into);
    };
  }

  double[] readDoubles(CudaMatrix matrix, int count) {
    use();
    return transfers.readDoubles(matrix, count);
  }

  CudaMatrix mine(Matrix matrix) {
    if (!(matrix instanceof CudaMatrix one) || one.device() != this) {
      throw new IllegalArgumentException(
          "A matrix of %s is not on %s".formatted(matrix.device().name(), name()));
    }

    return one;
  }

  // Matrices come and go

  @Override
  public Matrix zeros(int rows, int columns) {
    CudaMatrix matrix = new CudaMatrix(this, rows, columns);
    if (matrix.bytes() > 0) {
      use();
      matrix.lie(region.take(matrix.bytes(), true));
    }

    return matrix.blank();
  }

  @Override
  @SuppressWarnings("try") // what is shared is there to be closed
  public void addOuters(List<Matrix> sums, List<Matrix> gradients, Matrix input) {
    try (MatrixProducts.Shared shared = products().share(mine(input))) {
      MatrixDevice.super.addOuters(sums, gradients, input);
    }
  }

  @Override
  public Matrix of(int rows, int columns, double[] values) {
    CudaMatrix matrix = make(rows, columns);
    if (values.length != matrix.count()) {
      throw new IllegalArgumentException(
          "Invalid matrix: %d x %d of %d numbers".formatted(rows, columns, values.length));
    }

    use();
    uploads.fill(
        matrix,
        (into, first) -> {
          float[] floats = new float[into.remaining()];
          for (int i = 0; i < floats.length; i++) {
            floats[i] = (float) values[first + i];
          }

          into.put(0, floats);
        });
    return matrix;
  }

  @Override
  public Matrix take(Matrix matrix) {
    if (!(matrix instanceof CudaMatrix other)) {
      CudaMatrix copy = make(matrix.rows(), matrix.columns());
      use();
      uploads.fill(copy, matrix::copyInto);
      return copy;
    }

    if (other.device() == this) {
      return matrix;
    }

    CudaMatrix copy = make(other.rows(), other.columns());
    if (copy.bytes() > 0) {
      fetch(copy, other);
    }

    return copy;
  }

  @Override
  public Supplier<Matrix> beginTake(Matrix matrix) {
    if (matrix instanceof CudaMatrix) {
      return MatrixDevice.super.beginTake(matrix);
    }

    use();
    PinnedPieces.Coming coming = pieces.come(matrix);
    return () -> {
      CudaMatrix copy = make(matrix.rows(), matrix.columns());
      use();
      coming.begin(copy);
      return copy;
    };
  }

  /** Copies from another GPU, or device of this one, and waits. */
  private void fetch(CudaMatrix into, CudaMatrix from) {
    CudaMatrixDevice sender = from.device();
    from.fill();
    sender.use();
    CUevent computed = sender.events.record(sender.compute);
    use();
    if (sender.gpu != gpu && peers.add(sender.gpu)) {
      int[] can = new int[1];
      check(JCudaDriver.cuDeviceCanAccessPeer(can, device, sender.device), "cuDeviceCanAccessPeer");
      if (can[0] != 0) { // else the driver copies through the host
        int result = JCudaDriver.cuCtxEnablePeerAccess(sender.context, 0);
        if (result != CUresult.CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED) {
          check(result, "letting %s read from %s".formatted(name(), sender.name()));
        }
      }
    }

    Events.order(compute, computed);
    check(
        JCudaDriver.cuMemcpyPeerAsync(
            into.pointer(0), context, from.pointer(0), sender.context, into.bytes(), compute),
        () -> "copying from %s to %s".formatted(sender.name(), name()));
    CUevent copied = events.record(compute);
    Events.await(copied);
    events.giveBack(copied);
    sender.events.giveBack(computed);
  }

  @Override
  public Matrix load(FloatBuffer values, int rows, int columns) throws InterruptedException {
    CudaMatrix matrix = new CudaMatrix(this, rows, columns);
    Transfers.part(values, matrix.count());
    if (matrix.bytes() > 0) {
      use();
      matrix.lie(region.takeForLoad(matrix.bytes()));
      transfers.load(values, matrix);
    }

    return matrix;
  }

  @Override
  public void awaitLoads() {
    use();
    transfers.awaitLoads();
  }

  @Override
  public void release(Matrix matrix) {
    release(List.of(matrix));
  }

  @Override
  public void release(List<Matrix> matrices) {
    giveUp(matrices.stream().map(this::disowned).toList());
  }

  /** A matrix of no scope from now on. */
  private CudaMatrix disowned(Matrix matrix) {
    CudaMatrix one = mine(matrix);
    if (one.owner() != null) {
      one.owner().matrices.remove(one);
    }

    return one;
  }

  private void giveUp(Iterable<CudaMatrix> matrices) {
    use();
    List<Long> offsets = new ArrayList<>();
    for (CudaMatrix matrix : matrices) {
      long offset = matrix.giveUp();
      if (offset >= 0) {
        offsets.add(offset);
      }
    }

    region.give(offsets);
  }

  @Override
  public void store(Matrix matrix, FloatBuffer into) {
    store(List.of(matrix), List.of(into));
  }

  @Override
  public void store(List<Matrix> matrices, List<FloatBuffer> into) {
    use();
    matrices.forEach(matrix -> mine(matrix).fill());
    CUevent computed = events.record(compute); // one: each keeps the stream for microseconds
    List<Long> offsets = new ArrayList<>();
    long bytes = 0;
    for (int i = 0; i < matrices.size(); i++) {
      CudaMatrix one = disowned(matrices.get(i));
      Transfers.part(into.get(i), one.count());
      if (one.bytes() > 0) {
        transfers.store(one, into.get(i), computed);
        offsets.add(one.giveUp());
        bytes += one.bytes();
      }

      if (bytes >= STORED_TOGETHER || i == matrices.size() - 1) {
        region.giveAfter(transfers.stored(), offsets);
        offsets = new ArrayList<>();
        bytes = 0;
      }
    }

    events.giveBack(computed);
  }

  @Override
  public Runnable stored() {
    use();
    CUevent event = transfers.stored();
    return () -> {
      use();
      Events.await(event);
      events.giveBack(event);
    };
  }

  @Override
  public void synchronize() {
    use();
    check(JCudaDriver.cuStreamSynchronize(compute), "waiting for " + name());
    transfers.synchronize();
    region.poll();
  }

  /** Matrices of a scope. */
  final class Held implements Scope {
    private final Set<CudaMatrix> matrices = new LinkedHashSet<>();
    private final Held around = scopes.peek();

    private void add(CudaMatrix matrix) {
      matrices.add(matrix);
      matrix.own(this);
    }

    @Override
    public void keep(Matrix matrix) {
      if (matrix instanceof CudaMatrix one && matrices.remove(one)) {
        if (around == null) {
          one.own(null);
        } else {
          around.add(one);
        }
      }
    }

    @Override
    public void close() {
      if (scopes.peek() != this) {
        throw new IllegalStateException(
            "Cannot close a scope of %s: not the last".formatted(name()));
      }

      scopes.pop();
      giveUp(matrices);
    }
  }

  @Override
  public Scope scope() {
    Held scope = new Held();
    scopes.push(scope);
    return scope;
  }

  // Rows of several matrices

  @Override
  public Matrix combine(Matrix[] sources, int columns, Choices choices, double[] weights) {
    long[] addresses = addresses(sources, columns, choices);
    CudaMatrix out = make(choices.tokens(), columns);
    if (out.rows() > 0) {
      double[] sentWeights = weights == null ? new double[0] : weights;
      Uploads.Sent sent = uploads().send(addresses, sentWeights, choices.from(), choices.rows());
      on("train_combine", out.rows(), 256)
          .with(sent.longs())
          .with(sent.ints()[0])
          .with(sent.ints()[1])
          .with(weights == null ? 0L : sent.floats())
          .with(out.address())
          .with(choices.each())
          .with(columns)
          .run();
    }

    return out;
  }

  @Override
  public Matrix logitsGradient(Matrix[] along, Choices choices, double[] shares, boolean ofChosen) {
    MatrixDevice.checkShares(along.length, choices, shares, ofChosen);
    long[] addresses = addresses(along, 1, choices);
    CudaMatrix out = make(choices.tokens(), along.length);
    if (out.rows() > 0) {
      Uploads.Sent sent = uploads().send(addresses, shares, choices.from(), choices.rows());
      on("train_logits_gradient", (out.rows() + 127) / 128, 128)
          .with(sent.longs())
          .with(sent.ints()[0])
          .with(sent.ints()[1])
          .with(sent.floats())
          .with(out.address())
          .with(out.rows())
          .with(choices.each())
          .with(along.length)
          .with(ofChosen ? 1 : 0)
          .run();
    }

    return out;
  }

  /** Where sources lie; refuses rows that they do not have. */
  private long[] addresses(Matrix[] sources, int columns, Choices choices) {
    long[] addresses = new long[sources.length];
    int[] heights = new int[sources.length]; // of those that may be chosen
    for (int i = 0; i < sources.length; i++) {
      if (sources[i] != null && sources[i].rows() > 0) {
        addresses[i] = mine(sources[i]).address();
        heights[i] = sources[i].columns() == columns ? sources[i].rows() : 0;
      }
    }

    int[] from = choices.from();
    int[] rows = choices.rows();
    for (int i = 0; i < from.length; i++) {
      if (rows[i] < 0 || rows[i] >= heights[from[i]]) {
        Matrix source = sources[from[i]];
        throw new IllegalArgumentException(
            "Invalid row %d of source %d: %s"
                .formatted(
                    rows[i],
                    from[i],
                    source == null
                        ? "none there"
                        : "%d x %d, of width %d"
                            .formatted(source.rows(), source.columns(), columns)));
      }
    }

    return addresses;
  }

  /** Page-locked zeros of the host, for any GPU, until this device is closed. */
  public FloatBuffer pinned(int numbers) {
    use();
    return transfers.pinned(numbers);
  }

  @Override
  public long peakBytes() {
    return region.peakBytes();
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }

    closed = true;
    use();
    JCudaDriver.cuStreamSynchronize(compute);
    transfers.close();
    region.close();
    uploads.close();
    pieces.close();
    blas.destroy();
    kernels.unload();
    events.close();
    JCudaDriver.cuStreamDestroy(compute);
    JCudaDriver.cuDevicePrimaryCtxRelease(device);
  }
}
