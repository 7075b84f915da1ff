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
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The experts of a layer and chunk as the executor runs them: those for the CPU are sent their rows
 * one by one; then the device computes its own as their weights arrive, and gives the CPU one more
 * where that ends sooner; then it takes what the CPU made, in order.
 */
final class ExecutorExperts {
  /** Which pass asks, as the executor's. */
  enum Pass {
    FORWARD,
    AGAIN,
    BACKWARD
  }

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
  private int layer;
  private int chunk;
  private Pass pass;
  private Runnable done;
  private int[] counts;
  private List<Integer> here;
  private List<Integer> elsewhere;
  private List<Boolean> made; // [place in elsewhere]
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

  void start(int ofLayer, int ofChunk, Pass asks, Runnable whenDone) {
    layer = ofLayer;
    chunk = ofChunk;
    pass = asks;
    done = whenDone;
    counts = context.routing().counts(layer, chunk);
    here = new ArrayList<>();
    elsewhere = new ArrayList<>();
    boolean[] belongs = belongs();
    double taken = 0;
    for (int expert = 0; expert < counts.length; expert++) {
      if (pass == Pass.AGAIN && kept[layer][chunk][expert]) {
        taken += rules.times().curve(Curve.RETURN_ACTIVATION, counts[expert]);
      } else if (counts[expert] > 0) {
        (belongs[expert] ? here : elsewhere).add(expert);
        count(expert, belongs[expert]);
      }
    }

    made = new ArrayList<>();
    context.busy(taken, this::send);
  }

  private void count(int expert, boolean belongs) {
    if (pass == Pass.FORWARD) {
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
    } else if (pass == Pass.FORWARD) {
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

  /** Rows of the experts that the CPU has not been given yet. */
  private void send() {
    int place = made.size();
    if (place == elsewhere.size()) {
      feed();
      return;
    }

    int expert = elsewhere.get(place);
    made.add(false);
    context.busy(
        rules.times().curve(Curve.COPY_ACTIVATION, counts[expert]),
        () -> {
          compute(place, expert);
          send();
        });
  }

  private void compute(int place, int expert) {
    double nanos =
        rules
            .times()
            .curve(pass == Pass.BACKWARD ? Curve.CPU_BACKWARD : Curve.CPU_FORWARD, counts[expert]);
    if (pass == Pass.BACKWARD) {
      nanos += zerosOnCpu(expert);
    }

    long length = Math.round(nanos);
    context.use().cpuNanos += length;
    String what = context.records() ? "expert %d of layer %d".formatted(expert, layer) : "";
    pool.submit(
        nanos,
        () -> {
          if (context.records()) {
            long begin = context.events().now();
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

  private double zerosOnCpu(int expert) {
    if (rules.hostDevices()) {
      return zeros(onDevice, expert, Piece.CLEAR_CPU_EXPERT);
    }

    int rows = keptRows[layer][expert] + counts[expert];
    if (rows > TrainingProfile.KEPT_ROWS) {
      return zeros(onCpu, expert, Piece.CLEAR_CPU_EXPERT);
    }

    keptRows[layer][expert] = rows;
    return 0;
  }

  /** The time for zeros, if an expert's gradients begin. */
  private double zeros(boolean[][] gradients, int expert, Piece piece) {
    boolean begins = !gradients[layer][expert];
    gradients[layer][expert] = true;
    return begins ? rules.times().piece(piece) : 0;
  }

  /** The first expert whose weights are there, or one that the CPU is sooner done with. */
  private void feed() {
    if (here.isEmpty()) {
      take(0);
      return;
    }

    if (splits && pass == Pass.FORWARD && !made.contains(false)) {
      int sooner = soonerOnCpu();
      if (sooner >= 0) {
        here.remove((Integer) sooner);
        elsewhere.add(sooner);
        context.use().gpuTokens -= counts[sooner];
        context.use().cpuTokens += counts[sooner];
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
    boolean isBackward = pass == Pass.BACKWARD;
    double nanos =
        rules.times().curve(isBackward ? Curve.GPU_BACKWARD : Curve.GPU_FORWARD, counts[expert]);
    return nanos + (isBackward ? zeros(onDevice, expert, Piece.CLEAR_EXPERT) : 0);
  }

  private void take(int place) {
    if (place == made.size()) {
      if (pass == Pass.FORWARD) {
        elsewhere.forEach(expert -> kept[layer][chunk][expert] = true);
      }

      done.run();
    } else if (made.get(place)) {
      context.busy(
          rules.times().curve(Curve.RETURN_ACTIVATION, counts[elsewhere.get(place)]),
          () -> take(place + 1));
    } else {
      awaits = () -> take(place);
    }
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
