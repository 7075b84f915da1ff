package io.expertatlas.runtime.train;

import java.nio.FloatBuffer;

/** Where the host keeps what devices read and write: values of parameters and their gradients. */
public interface ParameterMemory {
  /** The memory of the JVM. */
  ParameterMemory JVM = FloatBuffer::allocate;

  /** Numbers, cleared, from position 0. */
  FloatBuffer allocate(int numbers);
}
