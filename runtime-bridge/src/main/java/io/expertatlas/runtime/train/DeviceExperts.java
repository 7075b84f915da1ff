package io.expertatlas.runtime.train;

import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.LayerSplit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;

/**
 * Runs the experts of a device's layers: those that are on the device, or belong there, on its own
 * thread as their copies arrive, the others at the same time on the CPU's pool.
 */
final class DeviceExperts implements ExpertRunner {
  private final int device;
  private final boolean splits;
  private final DeviceMemory memory;
  private final HierarchicalLoading hierarchy;
  private final ExecutorService pool;
  private final SpanLog spans;

  /**
   * Experts of a device.
   *
   * @param splits whether the hierarchy says which experts belong on the device; else all do
   */
  DeviceExperts(
      int device,
      boolean splits,
      DeviceMemory memory,
      HierarchicalLoading hierarchy,
      ExecutorService pool,
      SpanLog spans) {
    this.device = device;
    this.splits = splits;
    this.memory = memory;
    this.hierarchy = hierarchy;
    this.pool = pool;
    this.spans = spans;
  }

  @Override
  public void run(int layer, int[] counts, boolean backward, Work work)
      throws InterruptedException {
    List<Integer> here = new ArrayList<>();
    List<Integer> elsewhere = new ArrayList<>();
    memory.ask(() -> assign(layer, counts, backward, here, elsewhere));
    List<Future<?>> onPool = new ArrayList<>();
    for (int expert : elsewhere) {
      onPool.add(pool.submit(() -> runOnCpu(layer, expert, work)));
    }

    while (!here.isEmpty()) {
      List<Integer> blocks =
          here.stream().map(expert -> memory.ids().expert(layer, expert)).toList();
      work.run(here.remove(memory.awaitAny(blocks)), memory);
    }

    for (Future<?> one : onPool) {
      await(layer, one);
    }

    if (splits && !backward) {
      memory.ask(() -> hierarchy.endLayer(layer));
    }
  }

  private static void await(int layer, Future<?> onPool) throws InterruptedException {
    try {
      onPool.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException(
          "an expert of layer %d failed on the CPU: %s".formatted(layer, e.getCause().getMessage()),
          e.getCause());
    }
  }

  private void assign(
      int layer, int[] counts, boolean backward, List<Integer> here, List<Integer> elsewhere) {
    boolean[] belongs = new boolean[counts.length];
    if (splits) {
      LayerSplit split = backward ? hierarchy.split(layer) : hierarchy.routed(layer, counts);
      for (int expert = 0; expert < counts.length; expert++) {
        int block = memory.ids().expert(layer, expert);
        belongs[expert] = split.isOnGpu(expert) || memory.loader().isResident(block);
      }
    } else {
      Arrays.fill(belongs, true);
    }

    for (int expert = 0; expert < counts.length; expert++) {
      if (counts[expert] > 0) {
        (belongs[expert] ? here : elsewhere).add(expert);
      }
    }
  }

  /** With copies of its own, and the device's sums of gradients. */
  private void runOnCpu(int layer, int expert, Work work) {
    long begin = System.nanoTime();
    work.run(
        expert,
        new Copies() {
          @Override
          public Matrix value(Parameter parameter) {
            return parameter.widened();
          }

          @Override
          public Matrix gradient(Parameter parameter) {
            return memory.gradient(parameter);
          }
        });
    spans.add(device, SpanLog.CPU, "expert %d of layer %d".formatted(expert, layer), begin);
  }
}
