package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.LayerSplit;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The experts of a layer and chunk as the executor runs them: those for the CPU are sent their rows
 * together; meanwhile the device computes its own as their weights arrive, and gives the CPU one
 * more where that ends sooner; then it waits for what the CPU made. Backward begins with those of
 * which the host has what forward computed.
 */
final class ExecutorExperts {
  private final DeviceContext context;
  private final ExecutorRules rules;
  private final CpuPool pool;
  private final HierarchicalLoading loading;
  private final DemandLoader loader;
  private final BlockIds ids;
  private final boolean splits;
  private final Map<Integer, boolean[]> backward = new HashMap<>(); // by layer, of this visit
  private final boolean[][] onDevice; // [layer][expert] whether the device has gradients
  private final boolean[][] onCpu; // [layer][expert] whether the CPU has
  private final int[][] keptRows; // [layer][expert] rows of gradients that the CPU keeps unwritten
  private final boolean[][][] kept; // [layer][chunk][expert] whether the CPU computed it forward
  private Runnable awaits = () -> {};

  ExecutorExperts(
      DeviceContext context,
      ExecutorRules rules,
      CpuPool pool,
      HierarchicalLoading loading,
      DemandLoader loader) {
    this.context = context;
    this.rules = rules;
    this.pool = pool;
    this.loading = loading;
    this.loader = loader;
    int experts = context.routing().experts();
    this.ids = new BlockIds(context.plan().layers(), experts);
    this.splits = context.plan().kind() == PipelineKind.APTMOE;
    this.onDevice = new boolean[context.plan().layers()][experts];
    this.onCpu = new boolean[context.plan().layers()][experts];
    this.keptRows = new int[context.plan().layers()][experts];
    this.kept = new boolean[context.plan().layers()][context.routing().chunks()][experts];
  }

  /** Experts that work together, in a pass of a layer and chunk. */
  final class Group {
    private final int layer;
    private final int chunk;
    private final boolean isBackward;
    private final boolean isTaped;
    private final int[] counts;
    private final List<Integer> here = new ArrayList<>();
    private final List<Integer> elsewhere = new ArrayList<>();
    private final List<Boolean> made = new ArrayList<>(); // [place in elsewhere]
    private Runnable done;

    private Group(int layer, int chunk, boolean isBackward, boolean isTaped) {
      this.layer = layer;
      this.chunk = chunk;
      this.isBackward = isBackward;
      this.isTaped = isTaped;
      this.counts = context.routing().counts(layer, chunk);
    }

    /** Gives the CPU its experts. */
    void start(Runnable whenSent) {
      done = whenSent;
      boolean[] belongs = belongs();
      for (int expert = 0; expert < counts.length; expert++) {
        boolean isOfGroup =
            !isBackward || isTaped == (!times().recomputes() || kept[layer][chunk][expert]);
        if (counts[expert] > 0 && isOfGroup) {
          (belongs[expert] ? here : elsewhere).add(expert);
          count(expert, belongs[expert]);
        }
      }

      here.sort(Comparator.comparingInt(expert -> -counts[expert]));
      send();
    }

    /** Does what is left. */
    void finish(Runnable whenDone) {
      done = whenDone;
      feed();
    }

    private void count(int expert, boolean belongs) {
      if (!isBackward) {
        boolean resident = loader.isResident(ids.expert(layer, expert));
        DeviceUse use = context.use();
        use.hits += resident ? counts[expert] : 0;
        use.misses += resident ? 0 : counts[expert];
        use.gpuTokens += belongs ? counts[expert] : 0;
        use.cpuTokens += belongs ? 0 : counts[expert];
      }
    }

    private boolean[] belongs() {
      boolean[] belongs = new boolean[counts.length];
      if (!splits) {
        Arrays.fill(belongs, true);
      } else if (!isBackward) {
        belongs = belongs(loading.routed(layer, counts));
      } else {
        belongs = backward.computeIfAbsent(layer, l -> belongs(loading.split(l)));
      }

      return belongs;
    }

    private boolean[] belongs(LayerSplit split) {
      boolean[] belongs = new boolean[counts.length];
      for (int expert = 0; expert < belongs.length; expert++) {
        belongs[expert] = split.isOnGpu(expert) || loader.isResident(ids.expert(layer, expert));
      }

      return belongs;
    }

    /**
     * Experts that the CPU has not been given yet: it waits for the rows of all, and copies them.
     */
    private void send() {
      int first = made.size();
      int end = elsewhere.size();
      if (first < end) {
        made.addAll(Collections.nCopies(end - first, false));
        int matrices = isBackward && !isTaped ? 2 : 1; // gradients, and what they see
        int rows = elsewhere.subList(first, end).stream().mapToInt(expert -> counts[expert]).sum();
        double copy = matrices * times().curve(Curve.COPY_ACTIVATION, rows);
        for (int place = first; place < end; place++) {
          compute(place, elsewhere.get(place), place == first ? copy : 0);
        }
      }

      done.run();
    }

    private void compute(int place, int expert, double copyNanos) {
      double nanos = onCpu(expert);
      long length = Math.round(nanos);
      context.use().cpuNanos += length;
      String what = context.records() ? "expert %d of layer %d".formatted(expert, layer) : "";
      pool.submit(
          copyNanos + nanos + times().curve(Curve.RETURN_ACTIVATION, counts[expert]),
          () -> {
            if (context.records()) {
              long begin = context.events().now() + Math.round(copyNanos);
              context
                  .spans()
                  .add(new Span(context.gpu(), PipelineSimulator.CPU, what, begin, begin + length));
            }
          },
          () -> {
            made.set(place, true);
            resume();
          });
    }

    private double onCpu(int expert) {
      int count = counts[expert];
      if (!isBackward) {
        return times().curve(Curve.CPU_FORWARD, count);
      }

      return times().curve(Curve.CPU_BACKWARD, count)
          + (isTaped ? 0 : times().curve(Curve.CPU_AGAIN, count))
          + zerosOnCpu(layer, expert, count);
    }

    /**
     * The one with most tokens of those whose weights are there, or one that the CPU is sooner done
     * with.
     */
    private void feed() {
      if (here.isEmpty()) {
        take(0);
        return;
      }

      if (splits && !isBackward && !made.contains(false)) {
        int sooner = soonerOnCpu();
        if (sooner >= 0) {
          here.remove((Integer) sooner);
          elsewhere.add(sooner);
          context.use().gpuTokens -= counts[sooner];
          context.use().cpuTokens += counts[sooner];
          Runnable whenDone = done;
          done = () -> finish(whenDone);
          send();
          return;
        }
      }

      for (int place = 0; place < here.size(); place++) {
        int expert = here.get(place);
        if (loader.isResident(ids.expert(layer, expert))) {
          here.remove(place);
          context.busy(onDevice(expert), this::feed);
          return;
        }
      }

      awaits = this::feed;
    }

    private int soonerOnCpu() {
      int[] waiting = new int[counts.length];
      for (int expert : here) {
        waiting[expert] = counts[expert];
      }

      return loading.soonerOnCpu(layer, waiting, context.loads().nanosLeft());
    }

    private double onDevice(int expert) {
      int count = counts[expert];
      if (!isBackward) {
        return times().curve(Curve.GPU_FORWARD, count);
      }

      return times().curve(Curve.GPU_BACKWARD, count)
          + zeros(onDevice[layer], expert, Piece.CLEAR_EXPERT)
          + again(count);
    }

    /** What forward computed: once more, or from the host that has it, rows and inner ones. */
    private double again(int count) {
      if (!times().recomputes()) {
        return 0;
      }

      return isTaped
          ? times().curve(Curve.RETURN_ACTIVATION, count * times().tapeMatrices())
          : times().curve(Curve.GPU_AGAIN, count);
    }

    private void take(int place) {
      if (place == made.size()) {
        if (!isBackward) {
          elsewhere.forEach(expert -> kept[layer][chunk][expert] = true);
        }

        done.run();
      } else if (made.get(place)) {
        take(place + 1);
      } else {
        awaits = () -> take(place);
      }
    }
  }

  /** All experts of a layer. */
  Group forward(int layer, int chunk) {
    return new Group(layer, chunk, false, false);
  }

  /** Those of which there is what forward computed, or the others. */
  Group backward(int layer, int chunk, boolean isTaped) {
    return new Group(layer, chunk, true, isTaped);
  }

  private ProfiledTimes times() {
    return rules.times();
  }

  private double zerosOnCpu(int layer, int expert, int count) {
    if (rules.hostDevices()) {
      return zeros(onDevice[layer], expert, Piece.CLEAR_CPU_EXPERT);
    }

    int rows = keptRows[layer][expert] + count;
    if (rows > TrainingProfile.KEPT_ROWS) {
      return zeros(onCpu[layer], expert, Piece.CLEAR_CPU_EXPERT);
    }

    keptRows[layer][expert] = rows;
    return 0;
  }

  /** The time for zeros, if an expert's gradients begin. */
  private double zeros(boolean[] gradients, int expert, Piece piece) {
    boolean begins = !gradients[expert];
    gradients[expert] = true;
    return begins ? times().piece(piece) : 0;
  }

  /** Weights have come, or an expert of the CPU is done. */
  void resume() {
    Runnable resumed = awaits;
    awaits = () -> {};
    resumed.run();
  }

  /** Experts of a layer whose gradients the device has. */
  int storedByDevice(int ofLayer) {
    return count(onDevice[ofLayer]);
  }

  /** Experts of a layer whose gradients the CPU has. */
  int storedByCpu(int ofLayer) {
    return count(onCpu[ofLayer]);
  }

  private static int count(boolean[] flags) {
    int count = 0;
    for (boolean flag : flags) {
      count += flag ? 1 : 0;
    }

    return count;
  }

  /** A visit has ended. */
  void endVisit() {
    backward.clear();
  }
}
