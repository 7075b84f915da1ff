package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What experts on the CPU beside a device compute with: the host's numbers, and gradients of their
 * own, of few rows not written out; if the device is the CPU itself, its sums. Safe for several
 * threads.
 */
final class HostCopies implements Copies {
  private final MatrixDevice cpu;
  private final DeviceMemory beside;
  private final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();

  HostCopies(MatrixDevice cpu, DeviceMemory beside) {
    this.cpu = cpu;
    this.beside = beside;
  }

  @Override
  public MatrixDevice device() {
    return cpu;
  }

  @Override
  public Matrix value(Parameter parameter) {
    return Copies.load(parameter, cpu);
  }

  @Override
  public Matrix gradient(Parameter parameter) {
    if (cpu == beside.device()) {
      return beside.gradient(parameter);
    }

    synchronized (this) {
      return gradients.computeIfAbsent(parameter, one -> one.zeroSum(cpu));
    }
  }

  @Override
  public void addOuter(Parameter weight, Matrix gradient, Matrix input) {
    if (cpu == beside.device() || !weight.addOuter(gradient, input)) {
      gradient(weight).addOuter(gradient, input);
    }
  }

  /** The sum of a parameter's gradients, which belongs to the caller; none if there is none. */
  synchronized Optional<Matrix> takeGradient(Parameter parameter) {
    return Optional.ofNullable(gradients.remove(parameter));
  }
}
