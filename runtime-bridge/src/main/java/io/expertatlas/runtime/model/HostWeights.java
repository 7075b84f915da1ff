package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.LongStream;

/** Experts in memory of the host, as a CPU of it finds them. */
final class HostWeights {
  private final List<List<Tensor>> held; // [number of an expert][part]
  private final Function<List<Tensor>, ExpertWeights> make;
  private final Device cpu;
  private final List<ExpertWeights> views = new ArrayList<>(); // of the first experts

  /**
   * No expert was asked for yet.
   *
   * @param held {@code [expert][part]}
   * @param make of stacks of the parts
   */
  HostWeights(List<List<Tensor>> held, Function<List<Tensor>, ExpertWeights> make, Device cpu) {
    this.held = held;
    this.make = make;
    this.cpu = cpu;
  }

  /** Whether it is this one that finds them. */
  boolean isOf(Device other) {
    return cpu == other;
  }

  /** An expert, stacked as the only one. */
  ExpertWeights expert(int number) {
    while (views.size() <= number) {
      views.add(make.apply(held.get(views.size()).stream().map(this::stack).toList()));
    }

    return views.get(number);
  }

  private Tensor stack(Tensor part) {
    LongStream shape = part.shape().stream().mapToLong(length -> length);
    return cpu.reshape(cpu.mapped(part), LongStream.concat(LongStream.of(1), shape).toArray());
  }
}
