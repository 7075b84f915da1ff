package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cublas.check;
import static org.bytedeco.cuda.global.cublas.CUBLAS_COMPUTE_32F;
import static org.bytedeco.cuda.global.cublas.CUBLAS_COMPUTE_32F_FAST_TF32;
import static org.bytedeco.cuda.global.cublas.CUBLAS_GEMM_DEFAULT;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_N;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_T;
import static org.bytedeco.cuda.global.cudart.CUDA_R_32F;

import io.expertatlas.runtime.cuda.Cublas.At;
import jcuda.driver.JCudaDriver;
import org.bytedeco.cuda.cublas.cublasContext;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * Products of row-major matrices of floats by cuBLAS, sums in floats. It counts in columns: a
 * row-major matrix is its transposed, so that {@code c = a b} is asked for as {@code c' = b' a'}.
 */
final class FloatBlas {
  private final cublasContext handle = new cublasContext();
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);
  private final Address workspace = new Address();
  private final int compute;
  private final BiasedProducts biased;

  /**
   * A context on a stream of the current device.
   *
   * @param tensorFloat32 whether factors may be rounded to TF32 (10 bits), which tensor cores take
   */
  FloatBlas(long stream, boolean tensorFloat32) {
    this.compute = tensorFloat32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    Cuda.check(
        JCudaDriver.cuMemAlloc(workspace, Cublas.WORKSPACE),
        "allocating %d bytes for cuBLAS".formatted(Cublas.WORKSPACE));
    check(cublas.cublasCreate_v2(handle), "cublasCreate");
    check(cublas.cublasSetStream_v2(handle, new CUstream_st(new At(stream))), "cublasSetStream");
    check(
        cublas.cublasSetWorkspace_v2(handle, new At(workspace.value()), Cublas.WORKSPACE),
        "cublasSetWorkspace");
    this.biased = new BiasedProducts(handle, stream, compute, workspace.value());
  }

  /** Linear layers with biases. */
  BiasedProducts biased() {
    return biased;
  }

  /**
   * An operand: its address, the numbers from one stored row to the next, whether its transposed is
   * meant.
   */
  record Operand(long address, int stride, boolean isTransposed) {
    private int operation() {
      return isTransposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    }

    /** The same at another address. */
    Operand at(long other) {
      return new Operand(other, stride, isTransposed);
    }
  }

  /** {@code c (+)= a b}; a {@code [m, k]}, b {@code [k, n]}, c {@code [m, n]}; nothing is 0. */
  void product(int m, int n, int k, Operand a, Operand b, Operand c, boolean add) {
    check(
        cublas.cublasGemmEx(
            handle,
            b.operation(),
            a.operation(),
            n,
            m,
            k,
            one,
            new At(b.address()),
            CUDA_R_32F,
            b.stride(),
            new At(a.address()),
            CUDA_R_32F,
            a.stride(),
            add ? one : zero,
            new At(c.address()),
            CUDA_R_32F,
            c.stride(),
            compute,
            CUBLAS_GEMM_DEFAULT),
        () -> "cublasGemmEx of %d x %d x %d".formatted(m, k, n));
  }

  /** As many products of one shape; an operand's address is that of a list of addresses. */
  void products(int m, int n, int k, Operand a, Operand b, Operand c, boolean add, int count) {
    check(
        cublas.cublasGemmBatchedEx(
            handle,
            b.operation(),
            a.operation(),
            n,
            m,
            k,
            one,
            list(b),
            CUDA_R_32F,
            b.stride(),
            list(a),
            CUDA_R_32F,
            a.stride(),
            add ? one : zero,
            list(c),
            CUDA_R_32F,
            c.stride(),
            count,
            compute,
            CUBLAS_GEMM_DEFAULT),
        () -> "cublasGemmBatchedEx of %d times %d x %d x %d".formatted(count, m, k, n));
  }

  private static PointerPointer<?> list(Operand operand) {
    return new PointerPointer<>(new At(operand.address()));
  }

  void destroy() {
    biased.close();
    cublas.cublasDestroy_v2(handle);
    JCudaDriver.cuMemFree(workspace);
    one.close();
    zero.close();
  }
}
