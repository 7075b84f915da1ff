package io.expertatlas.runtime.cuda;

import static org.bytedeco.cuda.global.cublas.CUBLAS_COMPUTE_32F;
import static org.bytedeco.cuda.global.cublas.CUBLAS_GEMM_DEFAULT;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_N;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_T;
import static org.bytedeco.cuda.global.cudart.CUDA_R_16BF;
import static org.bytedeco.cuda.global.cudart.CUDA_R_32F;

import io.expertatlas.runtime.DType;
import java.util.function.Supplier;
import org.bytedeco.cuda.cublas.cublasContext;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/** Large dense products. */
final class Cublas {
  /** Enough for the fastest kernels of a Hopper GPU. */
  static final long WORKSPACE = 32L << 20;

  private final cublasContext handle = new cublasContext();
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);

  /** A context on a stream of the current device. */
  Cublas(long stream, CudaTensor workspace) {
    check(cublas.cublasCreate_v2(handle), "cublasCreate");
    check(cublas.cublasSetStream_v2(handle, new CUstream_st(new At(stream))), "cublasSetStream");
    check(
        cublas.cublasSetWorkspace_v2(handle, new At(workspace.address()), WORKSPACE),
        "cublasSetWorkspace");
  }

  /** An address that another library gave. */
  static final class At extends Pointer {
    At(long value) {
      super((Pointer) null);
      address = value;
    }
  }

  /** {@code out (+)= x weight^T}: x [m, k], weight [n, k] at an address, out [m, n]. */
  void linear(
      long x, long weight, DType in, long out, DType outType, int m, int k, int n, boolean add) {
    int inType = type(in);
    check(
        cublas.cublasGemmEx(
            handle,
            CUBLAS_OP_T,
            CUBLAS_OP_N,
            n,
            m,
            k,
            one,
            new At(weight),
            inType,
            k,
            new At(x),
            inType,
            k,
            add ? one : zero,
            new At(out),
            type(outType),
            n,
            CUBLAS_COMPUTE_32F,
            CUBLAS_GEMM_DEFAULT),
        () -> "cublasGemmEx of %d x %d x %d".formatted(m, k, n));
  }

  private static int type(DType type) {
    return type == DType.BF16 ? CUDA_R_16BF : CUDA_R_32F;
  }

  static void check(int status, String call) {
    check(status, () -> call);
  }

  /** The same for frequent calls: what was called is put into words only if it is needed. */
  static void check(int status, Supplier<String> call) {
    if (status != cublas.CUBLAS_STATUS_SUCCESS) {
      throw new IllegalStateException(
          "cuBLAS failed at %s: %s"
              .formatted(call.get(), cublas.cublasGetStatusString(status).getString()));
    }
  }

  void destroy() {
    cublas.cublasDestroy_v2(handle);
    one.close();
    zero.close();
  }
}
