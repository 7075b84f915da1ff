package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.LayerSplit;
import io.expertatlas.runtime.train.ExpertRunner.Pass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.function.Supplier;

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
  private int onCpu; // experts that the CPU was given and is not done with; under memory's lock
  private boolean idleAsked; // whether it was asked for since it became idle; under that lock

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
  public Running start(int layer, int[] counts, Pass pass, Work work) throws InterruptedException {
    if (pass == Pass.FORWARD) {
      spans.routed(layer, counts);
    }

    Experts experts = new Experts(layer, counts, pass, work);
    experts.start();
    return experts;
  }

  /** Experts of a layer that work. */
  private final class Experts implements Running {
    private final int layer;
    private final int[] counts;
    private final Pass pass;
    private final Work work;
    private final List<Integer> here = new ArrayList<>();
    private final List<Integer> elsewhere = new ArrayList<>();
    private final List<Future<List<Supplier<Matrix>>>> onPool =
        new ArrayList<>(); // those elsewhere

    Experts(int layer, int[] counts, Pass pass, Work work) {
      this.layer = layer;
      this.counts = counts;
      this.pass = pass;
      this.work = work;
    }

    void start() throws InterruptedException {
      memory.ask(() -> assign(layer, counts, pass, here, elsewhere));
      send(elsewhere);
    }

    /** Gives the CPU experts; the rows of all come in one copy, for which the CPU waits. */
    private void send(List<Integer> experts) {
      if (experts.isEmpty()) {
        return;
      }

      FutureTask<List<Matrix>> rows = rowsOnCpu(experts, work);
      memory.ask(
          () -> {
            onCpu += experts.size();
            idleAsked = false;
          });
      int first = 0;
      for (int expert : experts) {
        int from = first;
        onPool.add(pool.submit(() -> computeOnCpu(expert, rows, from)));
        first += counts[expert];
      }
    }

    @Override
    public boolean[] finish() throws InterruptedException {
      boolean mayChange = splits && pass == Pass.FORWARD;
      while (!here.isEmpty()) {
        int sooner = mayChange ? soonerOnCpu(layer, counts, here) : -1;
        if (sooner >= 0) {
          here.remove((Integer) sooner);
          elsewhere.add(sooner);
          send(List.of(sooner));
          continue;
        }

        List<Integer> blocks =
            here.stream().map(expert -> memory.ids().expert(layer, expert)).toList();
        int place = memory.awaitAny(blocks, () -> mayChange && onCpu == 0 && !idleAsked);
        if (place >= 0) {
          work.run(here.remove(place), memory);
        }
      }

      for (int i = 0; i < onPool.size(); i++) {
        List<Matrix> made = await(layer, onPool.get(i)).stream().map(Supplier::get).toList();
        work.outputs(List.of(elsewhere.get(i)), made);
      }

      if (splits && pass == Pass.FORWARD) {
        memory.ask(() -> hierarchy.endLayer(layer));
      }

      boolean[] beside = new boolean[counts.length];
      elsewhere.forEach(expert -> beside[expert] = true);
      return beside;
    }

    /**
     * An expert on the pool; whose turn is first waits for the rows of all.
     *
     * @return what it made, on its way to the device
     */
    private List<Supplier<Matrix>> computeOnCpu(int expert, FutureTask<List<Matrix>> rows, int from)
        throws InterruptedException, ExecutionException {
      try {
        rows.run();
        List<Matrix> own = rows.get().stream().map(all -> all.rows(from, counts[expert])).toList();
        long begin = System.nanoTime();
        List<Matrix> made = work.compute(expert, own, cpu);
        spans.add(device, SpanLog.CPU, "expert %d of layer %d".formatted(expert, layer), begin);
        return made.stream().map(memory.device()::beginTake).toList();
      } finally {
        memory.ask(() -> onCpu--);
      }
    }
  }

  /** What experts are given, on its way to the CPU: the device goes on, and gives it up. */
  @SuppressWarnings("try") // scopes are there to be closed
  private FutureTask<List<Matrix>> rowsOnCpu(List<Integer> experts, Work work) {
    try (MatrixDevice.Scope scope = memory.device().scope()) {
      List<Supplier<Matrix>> rows =
          work.inputs(experts).stream().map(cpu.device()::beginTake).toList();
      return new FutureTask<>(() -> rows.stream().map(Supplier::get).toList());
    }
  }

  /** Whichever ends first: the expert that the CPU, if it is idle, takes; -1: none. */
  private int soonerOnCpu(int layer, int[] counts, List<Integer> here) {
    int[] waiting = new int[counts.length];
    for (int expert : here) {
      waiting[expert] = counts[expert];
    }

    int[] found = {-1};
    memory.ask(
        () -> {
          idleAsked = onCpu == 0;
          if (idleAsked) {
            found[0] = hierarchy.soonerOnCpu(layer, waiting, memory.copyingNanos(costs));
          }
        });
    return found[0];
  }

  private static <T> T await(int layer, Future<T> onPool) throws InterruptedException {
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

    here.sort(Comparator.comparingInt(expert -> -counts[expert]));
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

  /** The sum of what the CPU added to a parameter's gradient, if that is not the device's. */
  Optional<Matrix> takeGradient(Parameter parameter) {
    return cpu.takeGradient(parameter);
  }
}
