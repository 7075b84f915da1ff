package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cublas.check;
import static org.bytedeco.cuda.global.cublas.CUBLASLT_EPILOGUE_BIAS;
import static org.bytedeco.cuda.global.cublas.CUBLASLT_EPILOGUE_RELU_BIAS;
import static org.bytedeco.cuda.global.cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER;
import static org.bytedeco.cuda.global.cublas.CUBLASLT_MATMUL_DESC_EPILOGUE;
import static org.bytedeco.cuda.global.cublas.CUBLASLT_MATMUL_DESC_TRANSA;
import static org.bytedeco.cuda.global.cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
import static org.bytedeco.cuda.global.cublas.CUBLAS_OP_T;
import static org.bytedeco.cuda.global.cudart.CUDA_R_32F;

import io.expertatlas.runtime.cuda.Cublas.At;
import java.util.List;
import org.bytedeco.cuda.cublas.cublasContext;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Linear layers with biases, of row-major floats, by cuBLASLt: the bias is added, and what is below
 * 0 cut off, where the result is written, without a pass of their own. It counts in columns, where
 * a row-major matrix is its transposed: {@code out' = weight x'}.
 */
final class BiasedProducts {
  private final cublasLtContext handle;
  private final CUstream_st stream;
  private final Pointer workspace;
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);
  private final LongPointer address = new LongPointer(1);
  private final IntPointer found = new IntPointer(1);
  private final cublasLtMatmulDescOpaque_t plain = new cublasLtMatmulDescOpaque_t();
  private final cublasLtMatmulDescOpaque_t relu = new cublasLtMatmulDescOpaque_t();
  private final cublasLtMatrixLayoutOpaque_t weightLayout = new cublasLtMatrixLayoutOpaque_t();
  private final cublasLtMatrixLayoutOpaque_t rowsLayout = new cublasLtMatrixLayoutOpaque_t();
  private final cublasLtMatrixLayoutOpaque_t outLayout = new cublasLtMatrixLayoutOpaque_t();
  private final cublasLtMatmulPreferenceOpaque_t preference =
      new cublasLtMatmulPreferenceOpaque_t();
  private final cublasLtMatmulHeuristicResult_t choice = new cublasLtMatmulHeuristicResult_t();

  /**
   * Products on a stream of the current device.
   *
   * @param context of cuBLAS, which is one of cuBLASLt too
   * @param compute cuBLAS's type of computing
   * @param workspace of {@link Cublas#WORKSPACE} bytes, that nobody uses but this stream
   */
  BiasedProducts(cublasContext context, long stream, int compute, long workspace) {
    this.handle = new cublasLtContext(context);
    this.stream = new CUstream_st(new At(stream));
    this.workspace = new At(workspace);
    describe(plain, compute, CUBLASLT_EPILOGUE_BIAS);
    describe(relu, compute, CUBLASLT_EPILOGUE_RELU_BIAS);
    check(cublas.cublasLtMatmulPreferenceInit(preference), "cublasLtMatmulPreferenceInit");
    address.put(Cublas.WORKSPACE);
    check(
        cublas.cublasLtMatmulPreferenceSetAttribute(
            preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, address, Long.BYTES),
        "cublasLtMatmulPreferenceSetAttribute");
  }

  private static void describe(cublasLtMatmulDescOpaque_t product, int compute, int epilogue) {
    check(cublas.cublasLtMatmulDescInit(product, compute, CUDA_R_32F), "cublasLtMatmulDescInit");
    try (IntPointer value = new IntPointer(1)) {
      set(product, CUBLASLT_MATMUL_DESC_TRANSA, value.put(CUBLAS_OP_T), Integer.BYTES);
      set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, value.put(epilogue), Integer.BYTES);
    }
  }

  private static void set(
      cublasLtMatmulDescOpaque_t product, int attribute, Pointer value, int bytes) {
    check(
        cublas.cublasLtMatmulDescSetAttribute(product, attribute, value, bytes),
        "cublasLtMatmulDescSetAttribute");
  }

  /**
   * {@code out = x weight' + bias (+ more)}, or what of it is above 0.
   *
   * @param x {@code [m, k]}, all of at least one number
   * @param weight {@code [n, k]}
   * @param bias {@code [1, n]}, added to each row
   * @param more as out, or null
   * @param out {@code [m, n]}
   */
  void linear(
      CudaMatrix x,
      CudaMatrix weight,
      CudaMatrix bias,
      CudaMatrix more,
      boolean isRelu,
      CudaMatrix out) {
    int m = x.rows();
    int k = x.columns();
    int n = weight.rows();
    cublasLtMatmulDescOpaque_t product = isRelu ? relu : plain;
    set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, address.put(bias.address()), Long.BYTES);
    layOut(weightLayout, k, n);
    layOut(rowsLayout, k, m);
    layOut(outLayout, n, m);
    check(
        cublas.cublasLtMatmulAlgoGetHeuristic(
            handle,
            product,
            weightLayout,
            rowsLayout,
            outLayout,
            outLayout,
            preference,
            1,
            choice,
            found),
        () -> "cublasLtMatmulAlgoGetHeuristic of %d x %d x %d".formatted(m, k, n));
    Pointer result = new At(out.address());
    check(
        cublas.cublasLtMatmul(
            handle,
            product,
            one,
            new At(weight.address()),
            weightLayout,
            new At(x.address()),
            rowsLayout,
            more == null ? zero : one,
            more == null ? result : new At(more.address()),
            outLayout,
            result,
            outLayout,
            choice.algo(),
            workspace,
            Cublas.WORKSPACE,
            stream),
        () -> "cublasLtMatmul of %d x %d x %d".formatted(m, k, n));
  }

  private static void layOut(cublasLtMatrixLayoutOpaque_t layout, int rows, int columns) {
    check(
        cublas.cublasLtMatrixLayoutInit(layout, CUDA_R_32F, rows, columns, rows),
        "cublasLtMatrixLayoutInit");
  }

  void close() {
    List.of(one, zero, address, found, preference, choice).forEach(Pointer::close);
    List.of(plain, relu).forEach(Pointer::close);
    List.of(weightLayout, rowsLayout, outLayout).forEach(Pointer::close);
  }
}
