package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Tensor;
import org.bytedeco.javacpp.FloatPointer;

/** Products with weights of either type: F32 by OpenBLAS, BF16 by oneDNN. */
final class CpuProducts {
  private final CpuMemory memory;
  private Bf16Products bf16; // once there are such weights

  CpuProducts(CpuMemory memory) {
    this.memory = memory;
  }

  /** {@code out[t] = weight x[t]}; x [rows, in], weight [n, in] from an element on. */
  void linear(
      FloatPointer x, Tensor weight, long first, int rows, int in, int n, FloatPointer out) {
    linear(x, (CpuTensor) weight, first, rows, in, n, 0, out);
  }

  /** {@code out[t] = beta * out[t] + weight x[t]}, beta 0 or 1. */
  void linear(
      FloatPointer x,
      CpuTensor weight,
      long first,
      int rows,
      int in,
      int n,
      float beta,
      FloatPointer out) {
    if (weight.type() == DType.BF16) {
      if (bf16 == null) {
        bf16 = new Bf16Products(memory);
      }

      bf16.linear(x, weight.shorts(first), rows, in, n, beta, out);
    } else {
      Products.linear(x, weight.pointer(first), rows, in, n, beta, out);
    }
  }
}
