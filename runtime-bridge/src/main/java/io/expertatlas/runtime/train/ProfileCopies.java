package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Copies of a profile: of given parameters there from the beginning, as on a device, else made when
 * they are asked for, as the CPU's experts have them. Beside a device of another kind the CPU does
 * not write gradients of few rows out: each time is as the first of a step.
 */
final class ProfileCopies implements Copies, AutoCloseable {
  private final MatrixDevice device;
  private final boolean isBeside;
  private final Map<Parameter, Matrix> values = new IdentityHashMap<>();
  private final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();

  /**
   * Copies that stay.
   *
   * @param blocks none: copies are made when they are asked for
   */
  ProfileCopies(MatrixDevice device, List<Block> blocks) throws InterruptedException {
    this(device, false);
    for (Block block : blocks) {
      for (Parameter parameter : block.parameters()) {
        values.put(
            parameter, device.load(parameter.value(), parameter.rows(), parameter.columns()));
      }
    }

    device.awaitLoads();
  }

  private ProfileCopies(MatrixDevice device, boolean isBeside) {
    this.device = device;
    this.isBeside = isBeside;
  }

  /** What the CPU computes experts with beside a device. */
  static ProfileCopies beside(MatrixDevice device, MatrixDevice cpu) {
    return new ProfileCopies(cpu, cpu != device);
  }

  @Override
  public MatrixDevice device() {
    return device;
  }

  @Override
  public Matrix value(Parameter parameter) {
    Matrix there = values.get(parameter);
    return there == null ? Copies.load(parameter, device) : there;
  }

  @Override
  public Matrix gradient(Parameter parameter) {
    return gradients.computeIfAbsent(parameter, one -> one.zeroSum(device));
  }

  @Override
  public void addOuter(Parameter weight, Matrix gradient, Matrix input) {
    if (isBeside) {
      weight.clearGradient();
    }

    if (!isBeside || !weight.addOuter(gradient, input)) {
      gradient(weight).addOuter(gradient, input);
    }
  }

  @Override
  public void addOuters(List<Parameter> weights, List<Matrix> gradients, Matrix input) {
    if (isBeside) {
      Copies.super.addOuters(weights, gradients, input);
    } else {
      device.addOuters(weights.stream().map(this::gradient).toList(), gradients, input);
    }
  }

  @Override
  public void close() {
    values.values().forEach(device::release);
    gradients.values().forEach(device::release);
  }
}
