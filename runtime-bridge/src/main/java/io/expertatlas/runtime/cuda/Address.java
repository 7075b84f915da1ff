package io.expertatlas.runtime.cuda;

import jcuda.driver.CUdeviceptr;

/** An address on a GPU whose value other libraries can be told. */
final class Address extends CUdeviceptr {
  /** The address as the driver counts it. */
  long value() {
    return getNativePointer() + getByteOffset();
  }
}
