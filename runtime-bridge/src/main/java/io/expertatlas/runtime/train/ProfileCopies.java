package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Copies of a profile: of given parameters there from the beginning, as on a device, else made when
 * they are asked for, as the CPU's experts have them.
 */
final class ProfileCopies implements Copies, AutoCloseable {
  private final MatrixDevice device;
  private final Map<Parameter, Matrix> values = new IdentityHashMap<>();
  private final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();

  /**
   * Copies that stay.
   *
   * @param blocks none: copies are made when they are asked for
   */
  ProfileCopies(MatrixDevice device, List<Block> blocks) throws InterruptedException {
    this.device = device;
    for (Block block : blocks) {
      for (Parameter parameter : block.parameters()) {
        values.put(
            parameter, device.load(parameter.value(), parameter.rows(), parameter.columns()));
      }
    }

    device.awaitLoads();
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
  public void close() {
    values.values().forEach(device::release);
    gradients.values().forEach(device::release);
  }
}
