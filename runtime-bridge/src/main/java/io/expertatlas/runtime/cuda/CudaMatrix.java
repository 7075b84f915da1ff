package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.cuda.MatrixProducts.Factor;
import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice.Scope;
import io.expertatlas.runtime.matrix.Rotary;
import java.nio.FloatBuffer;
import java.util.function.Consumer;

/** A row-major matrix of floats in the memory of a GPU; operations are one launch each, mostly. */
final class CudaMatrix implements Matrix {
  private static final int THREADS = 256;
  private static final int UNITS_OF_THREAD = 4; // EACH of the kernels that add

  private final CudaMatrixDevice device;
  private final int rows;
  private final int columns;
  private final int count;
  private volatile long offset = -1; // in the device's region; below 0: nowhere
  private CudaMatrixDevice.Held owner; // null: lasting
  private boolean isBlank; // zeros that nobody has written

  /** One that does not lie anywhere yet. */
  CudaMatrix(CudaMatrixDevice device, int rows, int columns) {
    if (rows < 0 || columns < 0 || (long) rows * columns > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "Invalid matrix: %d x %d, at most %,d numbers"
              .formatted(rows, columns, Integer.MAX_VALUE));
    }

    this.device = device;
    this.rows = rows;
    this.columns = columns;
    this.count = rows * columns;
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }

  int count() {
    return count;
  }

  @Override
  public CudaMatrixDevice device() {
    return device;
  }

  CudaMatrixDevice.Held owner() {
    return owner;
  }

  void own(CudaMatrixDevice.Held scope) {
    owner = scope;
  }

  void lie(long at) {
    offset = at;
  }

  /** Where it lay; it lies nowhere from now on. */
  long giveUp() {
    if (offset < 0 && count > 0) {
      throw new IllegalStateException(
          "A matrix %d x %d of %s was given up before".formatted(rows, columns, device.name()));
    }

    long at = offset;
    offset = -1;
    return at;
  }

  /** Lets it be zeros, which are written when they are needed: sums are written over them. */
  CudaMatrix blank() {
    isBlank = count > 0;
    return this;
  }

  /** Writes the zeros, if it is blank. */
  void fill() {
    if (takeBlank()) {
      device.clear(this);
    }
  }

  /** Whether it is blank; it is not any more. */
  private boolean takeBlank() {
    boolean was = isBlank;
    isBlank = false;
    return was;
  }

  /** Where its first number lies; 0 if there is none. */
  long address() {
    fill();
    return count == 0 ? 0 : device.region().address(offset());
  }

  Address pointer(long byteOffset) {
    fill();
    return device.region().pointer(offset() + byteOffset);
  }

  private long offset() {
    long at = offset;
    if (at < 0) {
      throw new IllegalStateException(
          "A matrix %d x %d of %s was given up".formatted(rows, columns, device.name()));
    }

    return at;
  }

  @Override
  public double[] toHost() {
    float[] floats = new float[count];
    copyInto(FloatBuffer.wrap(floats), 0);
    double[] out = new double[count];
    for (int i = 0; i < count; i++) {
      out[i] = floats[i];
    }

    return out;
  }

  @Override
  public Largest largest(int k, boolean withAll) {
    int found = rows * k;
    int[] at = new int[found];
    float[] floats = new float[2 * found + (withAll ? count : 0)]; // columns, numbers, all
    if (found > 0) {
      CudaMatrix read = device.make(1, floats.length);
      device
          .on("train_largest", (rows + 127) / 128, 128)
          .with(address())
          .with(read.address())
          .with(rows)
          .with(columns)
          .with(k)
          .run();
      if (withAll) {
        elements("train_copy")
            .with(address())
            .with(read.address() + 4L * (2 * found))
            .with((long) count)
            .run();
      }

      read.copyInto(FloatBuffer.wrap(floats), 0);
      device.release(read);
      for (int i = 0; i < found; i++) {
        at[i] = (int) floats[i];
      }
    }

    return new Largest(at, i -> floats[found + i], i -> floats[2 * found + i]);
  }

  @Override
  public void copyInto(FloatBuffer into, int first) {
    if (first < 0 || first + (long) into.remaining() > count) {
      throw new IllegalArgumentException(
          "Invalid numbers %d to %d of %d x %d"
              .formatted(first, first + (long) into.remaining(), rows, columns));
    }

    if (into.hasRemaining()) {
      device.read(this, first, into);
    }
  }

  @Override
  public Consumer<FloatBuffer> beginCopy() {
    return device.beginRead(this);
  }

  // Products

  @Override
  public Matrix linear(Matrix weight) {
    CudaMatrix w = device.mine(weight);
    check(columns == w.columns, w);
    CudaMatrix out = device.make(rows, w.rows);
    device.products().multiply(plain(), w.transposed(), out, false);
    return out;
  }

  @Override
  public Matrix linear(Matrix weight, Matrix bias) {
    return linear(weight, bias, null, false);
  }

  @Override
  public Matrix linear(Matrix weight, Matrix bias, Matrix more) {
    return linear(weight, bias, device.mine(more), false);
  }

  @Override
  public Matrix linearRelu(Matrix weight, Matrix bias) {
    return linear(weight, bias, null, true);
  }

  /**
   * A linear layer.
   *
   * @param more or null
   */
  private Matrix linear(Matrix weight, Matrix bias, CudaMatrix more, boolean isRelu) {
    CudaMatrix w = device.mine(weight);
    CudaMatrix row = device.mine(bias);
    check(columns == w.columns, w);
    w.check(w.rows == row.count, row);
    CudaMatrix out = device.make(rows, w.rows);
    if (more != null) {
      out.checkSame(more);
    }

    if (out.count > 0) {
      device.blas().biased().linear(this, w, row, more, isRelu, out);
    }

    return out;
  }

  @Override
  public Matrix times(Matrix other) {
    CudaMatrix right = device.mine(other);
    check(columns == right.rows, right);
    CudaMatrix out = device.make(rows, right.columns);
    device.products().multiply(plain(), right.plain(), out, false);
    return out;
  }

  @Override
  public void addOuter(Matrix gradient, Matrix input) {
    CudaMatrix down = device.mine(gradient);
    CudaMatrix in = device.mine(input);
    down.check(down.rows == in.rows, in);
    check(rows == down.columns && columns == in.columns, in);
    device.products().multiply(down.transposed(), in.plain(), this, !takeBlank());
  }

  @Override
  public Matrix addTimes(Matrix left, Matrix right) {
    CudaMatrix a = device.mine(left);
    CudaMatrix b = device.mine(right);
    a.check(a.columns == b.rows, b);
    check(rows == a.rows && columns == b.columns, b);
    device.products().multiply(a.plain(), b.plain(), this, !takeBlank());
    return this;
  }

  private Factor plain() {
    return new Factor(this, false);
  }

  private Factor transposed() {
    return new Factor(this, true);
  }

  // Rows and elements

  @Override
  public Matrix add(Matrix other) {
    CudaMatrix more = device.mine(other);
    checkSame(more);
    int unit = unit(count);
    int units = count / unit;
    device
        .on("train_add_" + unit * Float.BYTES, blocks(ofThreads(units)), THREADS)
        .with(more.address())
        .with(address())
        .with(units)
        .run();
    return this;
  }

  /** Numbers of a unit that so many side by side are taken in. */
  private static int unit(int numbers) {
    return numbers % 4 == 0 ? 4 : 1;
  }

  /** A thread takes several units. */
  private static long ofThreads(long units) {
    return (units + UNITS_OF_THREAD - 1) / UNITS_OF_THREAD;
  }

  /** A thread for each number. */
  private Kernels.Launch elements(String kernel) {
    return device.on(kernel, blocks(count), THREADS);
  }

  private static long blocks(long threads) {
    return (threads + THREADS - 1) / THREADS;
  }

  @Override
  public void addRowsOf(Matrix other) {
    CudaMatrix more = device.mine(other);
    check(count == more.columns, more);
    if (more.rows == 0) {
      return;
    }

    try (Scope scratch = device.scope()) {
      ColumnSums.add(more, this);
    }
  }

  /** Tells a kernel where it adds sums, and whether there are numbers. */
  Kernels.Launch adding(Kernels.Launch launch) {
    boolean add = !takeBlank();
    return launch.with(address()).with(add ? 1 : 0);
  }

  @Override
  public Matrix gather(int[] indices) {
    checkIndices(indices);
    Uploads.Sent sent = device.uploads().send(new long[0], new double[0], indices);
    return gather(indices.length, sent.ints()[0]);
  }

  /** Rows whose indices are at an address. */
  Matrix gather(int some, long index) {
    CudaMatrix out = device.make(some, columns);
    if (out.count > 0) {
      int unit = columns % 4 == 0 ? 16 : 4; // bytes
      device
          .on("gather_" + unit, out.rows, THREADS)
          .with(address())
          .with(index)
          .with(out.address())
          .with((int) (columns * 4L / unit))
          .run();
    }

    return out;
  }

  @Override
  public Matrix gather(int[] indices, double[] weights) {
    checkIndices(indices);
    Uploads.Sent sent = device.uploads().send(new long[0], weights, indices);
    return gather(indices.length, sent.ints()[0], sent.floats());
  }

  /** Rows whose indices and weights are at addresses. */
  Matrix gather(int some, long index, long weights) {
    CudaMatrix out = device.make(some, columns);
    if (out.count > 0) {
      device
          .on("train_gather", out.rows, THREADS)
          .with(address())
          .with(index)
          .with(weights)
          .with(out.address())
          .with(columns)
          .run();
    }

    return out;
  }

  private void checkIndices(int[] indices) {
    RowRange.of(indices).checkWithin(rows);
  }

  @Override
  public void addRowsAt(int[] indices, Matrix rowsOf) {
    CudaMatrix more = device.mine(rowsOf);
    check(more.rows == indices.length && columns == more.columns, more);
    checkIndices(indices);
    if (more.count == 0) {
      return;
    }

    RowTargets targets = RowTargets.of(indices);
    Uploads.Sent sent =
        device
            .uploads()
            .send(new long[0], new double[0], targets.targets(), targets.starts(), targets.order());
    device
        .on("train_add_rows_at", targets.targets().length, blocks(columns), THREADS)
        .with(address())
        .with(more.address())
        .with(sent.ints()[0])
        .with(sent.ints()[1])
        .with(sent.ints()[2])
        .with(columns)
        .run();
  }

  @Override
  public Matrix rowProducts(Matrix other) {
    return device.make(rows, 1).blank().addRowProducts(this, other);
  }

  @Override
  public Matrix addRowProducts(Matrix left, Matrix right) {
    CudaMatrix a = device.mine(left);
    CudaMatrix b = device.mine(right);
    a.check(a.columns == b.columns && (a.rows == b.rows || b.rows == 1), b);
    check(rows == a.rows && columns == 1, a);
    if (rows > 0) {
      adding(
              device
                  .on("train_row_products", blocks(32L * rows), THREADS)
                  .with(a.address())
                  .with(b.address()))
          .with(rows)
          .with(b.rows == 1 ? 0 : b.columns)
          .with(b.columns)
          .run();
    }

    return this;
  }

  @Override
  public Matrix linearReluBackward(Matrix result, Matrix biasGradient) {
    CudaMatrix inner = device.mine(result);
    checkSame(inner);
    CudaMatrix sum = row(biasGradient);
    CudaMatrix out = device.make(rows, 1).blank();
    if (count == 0) {
      return out;
    }

    try (Scope scratch = device.scope()) {
      ColumnSums sums = new ColumnSums(this);
      CudaMatrix room = sums.room(sum);
      CudaMatrix products = device.make(sums.blocks(), rows);
      room.adding(sums.on("train_linear_relu_backward").with(address()).with(inner.address()))
          .with(products.address())
          .with(rows)
          .with(columns)
          .run();
      sums.addUp(room, sum);
      ColumnSums.add(products, out);
    }

    return out;
  }

  @Override
  public Matrix swiglu(Matrix up) {
    CudaMatrix right = device.mine(up);
    checkSame(right);
    CudaMatrix out = device.make(rows, columns);
    elements("train_swiglu")
        .with(address())
        .with(right.address())
        .with(out.address())
        .with((long) count)
        .run();
    return out;
  }

  @Override
  public SwigluGradients swigluBackward(Matrix up, Matrix gradient) {
    CudaMatrix right = device.mine(up);
    CudaMatrix down = device.mine(gradient);
    checkSame(right);
    checkSame(down);
    CudaMatrix gateGradient = device.make(rows, columns);
    CudaMatrix upGradient = device.make(rows, columns);
    elements("train_swiglu_backward")
        .with(address())
        .with(right.address())
        .with(down.address())
        .with(gateGradient.address())
        .with(upGradient.address())
        .with((long) count)
        .run();
    return new SwigluGradients(gateGradient, upGradient);
  }

  // Norms

  @Override
  public Matrix rmsNorm(Matrix gain, double epsilon) {
    return CudaNorms.rms(this, row(gain), epsilon);
  }

  @Override
  public Matrix layerNorm(Matrix gain, Matrix bias, double epsilon) {
    return CudaNorms.layer(this, row(gain), row(bias), epsilon);
  }

  @Override
  public Matrix rmsNormBackward(Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient) {
    CudaMatrix down = device.mine(gradient);
    checkSame(down);
    return CudaNorms.rmsBackward(this, row(gain), epsilon, down, row(gainGradient));
  }

  @Override
  public Matrix layerNormBackward(
      Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient, Matrix biasGradient) {
    CudaMatrix down = device.mine(gradient);
    checkSame(down);
    return CudaNorms.layerBackward(
        this, row(gain), epsilon, down, row(gainGradient), row(biasGradient));
  }

  /** A row of as many numbers as this one's have. */
  private CudaMatrix row(Matrix matrix) {
    CudaMatrix row = device.mine(matrix);
    check(row.count == columns, row);
    return row;
  }

  // Attention and loss

  @Override
  public void turn(Rotary rotary, int length, boolean backwards) {
    int size = rotary.headSize();
    if (size % 2 != 0 || columns % size != 0) {
      throw new IllegalArgumentException(
          "Invalid heads of %d in rows of %d".formatted(size, columns));
    }

    device
        .on("train_turn", blocks((long) rows * (size / 2)), THREADS)
        .with(address())
        .with(rows)
        .with(length)
        .with(columns / size)
        .with(size)
        .with(rotary.base())
        .with(backwards ? 1 : 0)
        .run();
  }

  @Override
  public Matrix attend(Heads heads, Matrix keys, Matrix values, int length) {
    return attention(heads, keys, values, length)
        .forward(this, device.mine(keys), device.mine(values));
  }

  @Override
  public AttentionGradients attendBackward(
      Heads heads, Matrix keys, Matrix values, int length, Matrix gradient) {
    CudaMatrix down = device.mine(gradient);
    checkSame(down);
    return attention(heads, keys, values, length)
        .backward(this, device.mine(keys), device.mine(values), down);
  }

  private CudaCausalAttention attention(Heads heads, Matrix keys, Matrix values, int length) {
    CudaMatrix k = device.mine(keys);
    check(
        columns == heads.heads() * heads.headSize()
            && k.rows == rows
            && k.columns == heads.keyHeads() * heads.headSize(),
        k);
    k.checkSame(device.mine(values));
    return new CudaCausalAttention(device, heads, rows, length);
  }

  @Override
  public double crossEntropy(int[] targets, double scale) {
    CudaMatrix losses = losses(targets, scale);
    double sum = 0;
    for (double loss : device.readDoubles(losses, rows)) {
      sum += loss;
    }

    device.release(losses);
    return sum;
  }

  @Override
  public void crossEntropyGradient(int[] targets, double scale) {
    device.release(losses(targets, scale));
  }

  /** Turns this into the gradient; each row's loss, a double. */
  private CudaMatrix losses(int[] targets, double scale) {
    if (targets.length != rows) {
      throw new IllegalArgumentException(
          "Invalid targets: %d, of %d rows".formatted(targets.length, rows));
    }

    for (int target : targets) {
      if (target >= columns) {
        throw new IllegalArgumentException("Invalid target %d of %d".formatted(target, columns));
      }
    }

    CudaMatrix losses = device.make(rows, 2); // doubles
    if (rows > 0) {
      device
          .on("train_cross_entropy", rows, 512)
          .with(address())
          .with(device.uploads().send(new long[0], new double[0], targets).ints()[0])
          .with((float) scale)
          .with(losses.address())
          .with(columns)
          .run();
    }

    return losses;
  }

  private void checkSame(CudaMatrix other) {
    check(rows == other.rows && columns == other.columns, other);
  }

  private void check(boolean fits, CudaMatrix other) {
    if (!fits) {
      throw new IllegalArgumentException(
          "Matrices do not fit: %d x %d and %d x %d"
              .formatted(rows, columns, other.rows, other.columns));
    }
  }
}
