package io.expertatlas.runtime.train;

import java.nio.FloatBuffer;

/** Where the host keeps what devices read and write: values of parameters and their gradients. */
public interface HostMemory {
  /** The memory of the JVM. */
  HostMemory JVM = FloatBuffer::allocate;

  /** Numbers, cleared, from position 0. */
  FloatBuffer allocate(int numbers);
}
