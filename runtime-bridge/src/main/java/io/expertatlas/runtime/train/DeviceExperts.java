package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.LayerSplit;
import io.expertatlas.runtime.train.ExpertRunner.Pass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
  private final ExpertCosts costs;
  private final HostCopies cpu;
  private final ExecutorService pool;
  private final SpanLog spans;
  private final Map<Integer, boolean[]> backward = new HashMap<>(); // by layer, of this visit

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
      ExpertCosts costs,
      MatrixDevice cpu,
      ExecutorService pool,
      SpanLog spans) {
    this.device = device;
    this.splits = splits;
    this.memory = memory;
    this.hierarchy = hierarchy;
    this.costs = costs;
    this.cpu = new HostCopies(cpu, memory);
    this.pool = pool;
    this.spans = spans;
  }

  @Override
  public void run(int layer, int[] counts, Pass pass, Work work) throws InterruptedException {
    List<Integer> here = new ArrayList<>();
    List<Integer> elsewhere = new ArrayList<>();
    if (pass == Pass.FORWARD) {
      spans.routed(layer, counts);
    }

    memory.ask(() -> assign(layer, counts, pass, here, elsewhere));
    List<Future<Matrix>> onPool = new ArrayList<>();
    for (int expert : elsewhere) {
      Matrix input = cpu.device().take(work.input(expert));
      onPool.add(pool.submit(() -> computeOnCpu(layer, expert, input, work)));
    }

    while (!here.isEmpty()) {
      if (splits && pass == Pass.FORWARD && onPool.stream().allMatch(Future::isDone)) {
        Optional<Integer> sooner = soonerOnCpu(layer, counts, here);
        if (sooner.isPresent()) {
          int expert = sooner.get();
          here.remove(sooner.get());
          elsewhere.add(expert);
          Matrix input = cpu.device().take(work.input(expert));
          onPool.add(pool.submit(() -> computeOnCpu(layer, expert, input, work)));
          continue;
        }
      }

      List<Integer> blocks =
          here.stream().map(expert -> memory.ids().expert(layer, expert)).toList();
      work.run(here.remove(memory.awaitAny(blocks)), memory);
    }

    for (int i = 0; i < onPool.size(); i++) {
      Matrix made = await(layer, onPool.get(i));
      work.output(elsewhere.get(i), memory.device().take(made));
    }

    if (splits && pass == Pass.FORWARD) {
      memory.ask(() -> hierarchy.endLayer(layer));
    }
  }

  /**
   * With the CPU idle and nothing on the device to compute: the expert of the fewest tokens whose
   * copy has not begun, if the CPU is done with it before its copy would come and be computed. It
   * is not copied then.
   */
  private Optional<Integer> soonerOnCpu(int layer, int[] counts, List<Integer> waiting) {
    List<Integer> found = new ArrayList<>();
    memory.ask(
        () -> {
          int copies = 0;
          int least = -1;
          for (int expert : waiting) {
            int block = memory.ids().expert(layer, expert);
            if (memory.loader().isResident(block)) {
              return;
            }

            copies++;
            if (memory.loader().isQueued(block) && (least < 0 || counts[expert] < counts[least])) {
              least = expert;
            }
          }

          if (least >= 0
              && costs.cpuNanos(counts[least], false)
                  < copies * costs.loadExpertNanos() + costs.gpuNanos(counts[least], false)) {
            memory.loader().cancel(memory.ids().expert(layer, least));
            found.add(least);
          }
        });
    return found.stream().findFirst();
  }

  private static Matrix await(int layer, Future<Matrix> onPool) throws InterruptedException {
    try {
      return onPool.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException(
          "an expert of layer %d failed on the CPU: %s".formatted(layer, e.getCause().getMessage()),
          e.getCause());
    }
  }

  private void assign(
      int layer, int[] counts, Pass pass, List<Integer> here, List<Integer> elsewhere) {
    boolean[] belongs = belongs(layer, counts, pass);
    for (int expert = 0; expert < counts.length; expert++) {
      if (counts[expert] > 0) {
        (belongs[expert] ? here : elsewhere).add(expert);
      }
    }
  }

  /** Which experts belong on the device. Backward stays with what it was for the first chunk. */
  private boolean[] belongs(int layer, int[] counts, Pass pass) {
    boolean[] belongs = new boolean[counts.length];
    if (!splits) {
      Arrays.fill(belongs, true);
    } else if (pass == Pass.FORWARD) {
      belongs = belongs(layer, hierarchy.routed(layer, counts));
    } else {
      belongs = backward.computeIfAbsent(layer, l -> belongs(l, hierarchy.split(l)));
    }

    return belongs;
  }

  private boolean[] belongs(int layer, LayerSplit split) {
    boolean[] belongs = new boolean[memory.ids().experts()];
    for (int expert = 0; expert < belongs.length; expert++) {
      belongs[expert] =
          split.isOnGpu(expert) || memory.loader().isResident(memory.ids().expert(layer, expert));
    }

    return belongs;
  }

  /** A visit has ended. */
  void endVisit() {
    backward.clear();
  }

  private Matrix computeOnCpu(int layer, int expert, Matrix input, Work work) {
    long begin = System.nanoTime();
    Matrix made = work.compute(expert, input, cpu);
    spans.add(device, SpanLog.CPU, "expert %d of layer %d".formatted(expert, layer), begin);
    return made;
  }

  /** The sum of what the CPU added to a parameter's gradient, if that is not the device's. */
  Optional<Matrix> takeGradient(Parameter parameter) {
    return cpu.takeGradient(parameter);
  }
}
