package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Tensor;
import java.util.List;
import jcuda.driver.CUdeviceptr;

/** A tensor, or a view of one, in the memory of a GPU. */
record CudaTensor(CudaDevice device, DType type, List<Long> shape, Address memory, long offset)
    implements Tensor {
  /** A view of the same memory, {@code bytes} further on. */
  CudaTensor view(long bytes, List<Long> viewShape) {
    return new CudaTensor(device, type, List.copyOf(viewShape), memory, offset + bytes);
  }

  /** Where the first element lies. */
  CUdeviceptr pointer() {
    return memory.withByteOffset(offset);
  }

  /** The same as a number. */
  long address() {
    return memory.value() + offset;
  }

  /** The letter that kernels' names have for the type. */
  char letter() {
    return switch (type) {
      case F32 -> 'f';
      case BF16 -> 'h';
      default -> throw new IllegalArgumentException("No kernel takes " + type);
    };
  }

  @Override
  public String toString() {
    return type + " " + shape;
  }

  /** Number of rows: the first axis. */
  int rows() {
    return Math.toIntExact(size(0));
  }

  /** Elements of a row. */
  int columns() {
    return Math.toIntExact(width());
  }
}
