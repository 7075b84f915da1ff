package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.WeightSource;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** Weights from a source to a device. */
record Loading(WeightSource source, Device device) {
  /** A matrix or a table, in the device's type of weights. */
  Tensor weight(String name, long... shape) {
    return load(name, device.weightType(), shape);
  }

  /** A vector of a norm or a bias, or a router: in F32. */
  Tensor exact(String name, long... shape) {
    return load(name, DType.F32, shape);
  }

  private Tensor load(String name, DType type, long... shape) {
    return fill(name, device.allocate(name, type, shape));
  }

  /** Fills a tensor. */
  Tensor fill(String name, Tensor tensor) {
    long[] shape = tensor.shape().stream().mapToLong(length -> length).toArray();
    device.load(source.tensor(name, shape), tensor);
    return tensor;
  }

  /** The first rank before one whose memory it can use; none if all are elsewhere. */
  static Optional<Integer> sharer(List<Device> devices, int rank) {
    return IntStream.range(0, rank)
        .filter(other -> devices.get(rank).sharesMemoryWith(devices.get(other)))
        .boxed()
        .findFirst();
  }

  /** One tensor of each of some experts, stacked. */
  Tensor stacked(DType type, int[] experts, String pattern, long... shape) {
    long[] all = new long[shape.length + 1];
    all[0] = experts.length;
    System.arraycopy(shape, 0, all, 1, shape.length);
    Tensor stack = device.allocate(pattern, type, all);
    for (int i = 0; i < experts.length; i++) {
      Tensor one = device.reshape(device.rows(stack, i, 1), shape);
      device.load(source.tensor(pattern.formatted(experts[i]), shape), one);
    }

    return stack;
  }

  /** The experts of a layer that live on a rank, ascending. */
  static int[] experts(ExecutionPlan plan, int layer, int rank) {
    return IntStream.range(0, plan.shape().experts())
        .filter(expert -> plan.holds(rank, layer, expert))
        .toArray();
  }

  /** The index of each expert among those of a rank, -1 for others; I32 [E]. */
  Tensor local(int[] experts, int all) {
    int[] local = new int[all];
    Arrays.fill(local, -1);
    for (int i = 0; i < experts.length; i++) {
      local[experts[i]] = i;
    }

    Tensor tensor = device.allocate("index of experts", DType.I32, all);
    device.write(tensor, local);
    return tensor;
  }
}
