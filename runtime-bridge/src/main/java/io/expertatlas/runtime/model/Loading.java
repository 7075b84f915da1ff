package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.WeightSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Weights from a source to a device.
 *
 * @param cache of experts; empty: all stay on the device
 */
record Loading(WeightSource source, Device device, Optional<ExpertCache> cache) {
  /** One of the tensors that make an expert, {@code %d} in its name being the expert. */
  record Part(DType type, String pattern, long... shape) {}

  /** Weights to a rank of a plan. */
  static Loading of(WeightSource source, Device device, ExecutionPlan plan) {
    return new Loading(
        source, device, plan.offload().map(offload -> new ExpertCache(device, offload)));
  }

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

  /**
   * The experts of a layer that live on a rank.
   *
   * @param layer any number that no other layer of the rank has
   * @param here ascending
   * @param all experts of the layer on all ranks
   * @param make of stacks of the parts, in their order
   */
  HeldExperts experts(
      int layer,
      int[] here,
      int all,
      List<Part> parts,
      Function<List<Tensor>, ExpertWeights> make) {
    if (cache.isPresent()) {
      cache.get().hold(layer, here, all, parts, make, this);
      return new HeldExperts.Offloaded(cache.get(), layer);
    }

    List<Tensor> stacks = new ArrayList<>();
    for (Part part : parts) {
      Tensor stack = stack(part, here.length);
      for (int i = 0; i < here.length; i++) {
        fill(part, here[i], stack, i);
      }

      stacks.add(stack);
    }

    return new HeldExperts.Resident(local(here, all), make.apply(stacks));
  }

  /** Room for one part of several experts. */
  Tensor stack(Part part, int count) {
    long[] shape = new long[part.shape().length + 1];
    shape[0] = count;
    System.arraycopy(part.shape(), 0, shape, 1, part.shape().length);
    return device.allocate(part.pattern(), part.type(), shape);
  }

  /** Fills a place of a stack with the part of an expert, and gives the view of it. */
  Tensor fill(Part part, int expert, Tensor stack, int place) {
    Tensor one = device.reshape(device.rows(stack, place, 1), part.shape());
    device.load(source.tensor(part.pattern().formatted(expert), part.shape()), one);
    return one;
  }

  /** The experts of a layer that live on a rank, ascending. */
  static int[] experts(ExecutionPlan plan, int layer, int rank) {
    return IntStream.range(0, plan.shape().experts())
        .filter(expert -> plan.holds(rank, layer, expert))
        .toArray();
  }

  /** The index of each expert among those of a rank, -1 for others; I32 [E]. */
  private Tensor local(int[] experts, int all) {
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
