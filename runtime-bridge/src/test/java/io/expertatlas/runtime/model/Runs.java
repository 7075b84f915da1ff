package io.expertatlas.runtime.model;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Topology;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.checkpoint.Checkpoint;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntFunction;

/** Runs of the models in {@code data/} on logical ranks. */
final class Runs implements AutoCloseable {
  private final List<Device> devices = new ArrayList<>();
  final Model model;
  final Limits limits;
  final List<Routes> routes = new ArrayList<>();

  Runs(String name, ExecutionPlan plan, Limits limits) {
    this(name, plan, limits, rank -> new CpuDevice(rank, 1));
  }

  /** On devices of any kind. */
  Runs(String name, ExecutionPlan plan, Limits limits, IntFunction<Device> open) {
    this.limits = limits;
    for (int r = 0; r < plan.ranks(); r++) {
      devices.add(open.apply(r));
    }

    this.model = Models.load(config(name), checkpoint(name), plan, devices, limits, routes::add);
  }

  static Checkpoint checkpoint(String name) {
    try {
      return Checkpoint.open(Goldens.data().resolve(name));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static ModelConfig config(String name) {
    return checkpoint(name).config();
  }

  /** Contiguous blocks of experts. */
  static ExecutionPlan vanilla(ModelShape shape, int ranks, ParallelMode mode) {
    int[][] map = new int[shape.layers()][shape.experts()];
    for (int[] layer : map) {
      for (int e = 0; e < layer.length; e++) {
        layer[e] = e * ranks / layer.length;
      }
    }

    return new ExecutionPlan(shape, new Placement(new Topology(1, ranks), map), mode);
  }

  /** Experts anywhere, ranks may be left empty. */
  static ExecutionPlan random(ModelShape shape, int ranks, ParallelMode mode, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[][] map = new int[shape.layers()][shape.experts()];
    for (int[] layer : map) {
      for (int e = 0; e < layer.length; e++) {
        layer[e] = random.nextInt(ranks);
      }
    }

    return new ExecutionPlan(shape, new Placement(new Topology(1, ranks), map), mode);
  }

  /** One to four copies of each expert anywhere on two nodes, also two on a rank. */
  static ExecutionPlan copies(ModelShape shape, int ranks, ParallelMode mode, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[][][] map = new int[shape.layers()][shape.experts()][];
    for (int[][] layer : map) {
      for (int e = 0; e < layer.length; e++) {
        layer[e] = random.ints(random.nextInt(1, 5), 0, ranks).toArray();
      }
    }

    Topology nodes = Topology.ofNodes(ranks / 2, ranks - ranks / 2);
    return new ExecutionPlan(shape, Placement.ofCopies(nodes, map), mode);
  }

  List<int[]> greedy(List<int[]> prompts, int newTokens, boolean stopsAtEnd) {
    return new Generation(model, limits, Sampler.GREEDY, newTokens, stopsAtEnd, n -> {})
        .run(prompts);
  }

  @Override
  public void close() {
    devices.forEach(Device::close);
  }
}
