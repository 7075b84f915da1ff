package io.expertatlas.runtime;

/** A tensor in memory of the host that does not belong to the CPU's device, which can find it. */
public interface HostTensor extends Tensor {
  /** Where the first element is; valid until its device is closed. */
  long address();
}
