package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.cuda.FloatBlas.Operand;
import io.expertatlas.runtime.matrix.MatrixDevice.Scope;

/**
 * Products of matrices. Tensor cores of a Hopper GPU read numbers of four bytes along the dimension
 * that is summed over; factors that do not lie so are slower, in sums over rows by half. Those of
 * large products are therefore transposed first, the smaller of two.
 */
final class MatrixProducts {
  /** Numbers of a sum from which two factors that lie across it are worth a copy of one. */
  private static final int LONG_SUM = 1024;

  /** Rows of the result from which the only such factor is worth one. */
  private static final int MANY_ROWS = 8192;

  private static final int LEAST_COLUMNS = 256; // of a factor that is transposed

  /** Numbers that are read at once: else cuBLAS takes other kernels, of a third of the speed. */
  static final int WORDS = 4;

  private static final int TILE = 64; // TURNED of the kernel
  private static final int ALIGNED = 32; // numbers to which a copy's rows are rounded up

  private final CudaMatrixDevice device;
  private final FloatBlas blas;
  private final boolean transposes;
  private Shared shared; // or null

  /**
   * Products on a device.
   *
   * @param transposes whether tensor cores compute, which gain by it
   */
  MatrixProducts(CudaMatrixDevice device, FloatBlas blas, boolean transposes) {
    this.device = device;
    this.blas = blas;
    this.transposes = transposes;
  }

  /** A matrix, or its transposed. */
  record Factor(CudaMatrix matrix, boolean isTransposed) {
    private int rows() {
      return isTransposed ? matrix.columns() : matrix.rows();
    }

    private int columns() {
      return isTransposed ? matrix.rows() : matrix.columns();
    }

    /** Whether numbers of a sum, over a left factor's columns, do not lie side by side. */
    private boolean liesAcross(boolean isLeft) {
      return isLeft == isTransposed;
    }

    /** The rest of the sum, from its {@code first}-th number on. */
    private Operand operandFrom(int first, boolean isLeft) {
      long stored = liesAcross(isLeft) ? (long) first * matrix.columns() : first;
      return operand().at(matrix.address() + Float.BYTES * stored);
    }

    private Operand operand() {
      return new Operand(matrix.address(), matrix.columns(), isTransposed);
    }
  }

  /** {@code out (+)= a b}; sums of nothing are 0. */
  void multiply(Factor a, Factor b, CudaMatrix out, boolean add) {
    int k = a.columns();
    if (out.count() == 0) {
      return;
    }

    if (k > 0) {
      multiply(a, b, k, out, add);
    } else if (!add) {
      device.clear(out);
    }
  }

  private void multiply(Factor a, Factor b, int k, CudaMatrix out, boolean add) {
    Factor across = worthTurning(a, b, k);
    Operand sums = new Operand(out.address(), out.columns(), false);
    if (across == null) {
      blas.product(out.rows(), out.columns(), k, a.operand(), b.operand(), sums, add);
      return;
    }

    try (Scope scratch = device.scope()) {
      Operand left = across == a ? turned(a, scratch) : a.operand();
      Operand right = across == b ? turned(b, scratch) : b.operand();
      int whole = k / WORDS * WORDS;
      blas.product(out.rows(), out.columns(), whole, left, right, sums, add);
      if (whole < k) {
        left = a.operandFrom(whole, true);
        right = b.operandFrom(whole, false);
        blas.product(out.rows(), out.columns(), k - whole, left, right, sums, true);
      }
    }
  }

  /** The factor that lies across the sum, of two the smaller, if a copy pays; else null. */
  private Factor worthTurning(Factor a, Factor b, int k) {
    if (!transposes || k < WORDS || !b.liesAcross(false)) {
      return null; // a transposed left factor comes with a right one that is not
    }

    boolean isAcrossToo = a.liesAcross(true);
    if (isAcrossToo ? k < LONG_SUM : a.rows() < MANY_ROWS) {
      return null;
    }

    Factor smaller = isAcrossToo && a.rows() < b.columns() ? a : b;
    int columns = smaller.matrix.columns();
    return columns >= LEAST_COLUMNS && columns % WORDS == 0 ? smaller : null;
  }

  /** A factor of several products: its copy that lies the other way is made once. */
  final class Shared implements AutoCloseable {
    private final CudaMatrix matrix;
    private final Scope scope = device.scope();
    private CudaMatrix copy; // or null

    private Shared(CudaMatrix matrix) {
      this.matrix = matrix;
    }

    @Override
    public void close() {
      shared = null;
      scope.close();
    }
  }

  /** Begins products with a factor, which stays as it is. */
  Shared share(CudaMatrix factor) {
    shared = new Shared(factor);
    return shared;
  }

  /** The same factor, from a copy that lies the other way. */
  private Operand turned(Factor factor, Scope scratch) {
    CudaMatrix copy;
    if (shared == null || shared.matrix != factor.matrix) {
      copy = turned(factor.matrix);
    } else {
      if (shared.copy == null) {
        shared.copy = turned(factor.matrix);
        scratch.keep(shared.copy);
      }

      copy = shared.copy;
    }

    return new Operand(copy.address(), copy.columns(), !factor.isTransposed);
  }

  private CudaMatrix turned(CudaMatrix matrix) {
    int stride = (matrix.rows() + ALIGNED - 1) / ALIGNED * ALIGNED;
    CudaMatrix copy = device.make(matrix.columns(), stride);
    device
        .on("train_transpose", tiles(stride), tiles(matrix.columns()), 4 * TILE)
        .with(matrix.address())
        .with(copy.address())
        .with(matrix.rows())
        .with(matrix.columns())
        .with(stride)
        .run();
    return copy;
  }

  private static long tiles(int numbers) {
    return (numbers + TILE - 1) / TILE;
  }
}
