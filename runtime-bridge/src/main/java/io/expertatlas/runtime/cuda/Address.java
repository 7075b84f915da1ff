package io.expertatlas.runtime.cuda;

import jcuda.driver.CUdeviceptr;

/** An address on a GPU whose value other libraries can be told. */
final class Address extends CUdeviceptr {
  Address() {}

  private Address(Address other, long byteOffset) {
    super(other, byteOffset);
  }

  @Override
  public Address withByteOffset(long byteOffset) {
    return new Address(this, byteOffset);
  }

  /** The address as the driver counts it. */
  long value() {
    return getNativePointer() + getByteOffset();
  }
}
