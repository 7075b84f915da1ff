package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.LayerSplit;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.Arrays;

/**
 * APTMoE's stages: layers compute as their weights arrive, experts on both sides at once.
 *
 * <p>An expert that is on the GPU runs there, also if the split has changed its mind. An expert
 * whose copy still waits when nothing else is left to do goes to whichever of copy and GPU, or CPU,
 * ends first (forward only; backward loads all that its split says).
 */
final class HierarchicalWork implements StageWork {
  private enum Side {
    NONE,
    GPU,
    CPU
  }

  private final DeviceContext context;
  private final HierarchicalLoading loading;
  private final DemandLoader loader;
  private final BlockIds ids;
  private final StageSlots slots;
  private final int[] visitOf; // [stage] the visit whose weights are there or coming, or -1
  private final Visit[] leaving; // [stage] the visit whose weights or gradients are still there
  private final boolean[] storing; // [stage] gradients are on their way to the host
  private final Side[] side; // [expert] of the layer under way, where its tokens still wait
  private int[] counts; // [expert] of the layer under way
  private LayerSplit split; // of the layer under way
  private int cpuPlace; // experts of the split before it may wait for the CPU
  private int onGpu; // experts that wait for the GPU
  private boolean gpuReady; // weights may have come that were not there before
  private Visit visit;
  private int chunk;
  private boolean backward;
  private int layer;
  private Runnable done;
  private Runnable awaitsRoom = () -> {};
  private boolean awaitsBase;
  private boolean isRouting; // experts are under way
  private boolean gpuBusy;
  private boolean cpuBusy;

  HierarchicalWork(DeviceContext context, HierarchicalLoading loading, DemandLoader loader) {
    this.context = context;
    this.loading = loading;
    this.loader = loader;
    this.ids = new BlockIds(context.plan().layers(), context.routing().experts());
    this.slots = new StageSlots(context.visits(), this::request);
    this.visitOf = new int[context.plan().stages()];
    this.leaving = new Visit[context.plan().stages()];
    this.storing = new boolean[context.plan().stages()];
    this.side = new Side[context.routing().experts()];
    Arrays.fill(visitOf, -1);
  }

  @Override
  public void begin(Visit begun) {
    slots.begin(begun);
  }

  private void request(Visit wanted) {
    visitOf[wanted.stage()] = wanted.number();
    if (wanted.forward()) {
      loading.requestForward(wanted.stage());
    } else {
      loading.requestBackward(wanted.stage());
    }

    pump();
    Runnable resumed = awaitsRoom;
    awaitsRoom = () -> {};
    resumed.run();
  }

  private void pump() {
    for (int block = loader.next(); block >= 0; block = loader.next()) {
      int copied = block;
      boolean isExpert = ids.expertOf(block) >= 0;
      boolean isGate = block == ids.gate(ids.layerOf(block));
      if (isExpert) {
        context.use().expertsLoaded++;
      } else if (isGate) {
        context.use().basesLoaded++;
      }

      double nanos =
          isExpert
              ? context.times().loadExpertNanos()
              : isGate ? context.times().loadGateNanos() : context.times().loadAttentionNanos();
      context
          .loads()
          .copy(
              nanos, context.records() ? "load " + ids.describe(block) : "", () -> arrived(copied));
    }
  }

  private void arrived(int block) {
    loader.completed(block);
    int stage = context.plan().stageOf(ids.layerOf(block));
    if (visitOf[stage] < 0) {
      loader.drop(block); // given up while it was under way, and the stage has left
      settle(stage);
    }

    pump();
    if (awaitsBase) {
      startLayer();
    } else if (isRouting && ids.layerOf(block) == layer) {
      gpuReady = true;
      proceed();
    }
  }

  @Override
  public void compute(Visit of, int ofChunk, boolean isBackward, Runnable whenDone) {
    if (visitOf[of.stage()] != of.number()) {
      awaitsRoom = () -> compute(of, ofChunk, isBackward, whenDone);
      return;
    }

    visit = of;
    chunk = ofChunk;
    backward = isBackward;
    done = whenDone;
    int stage = of.stage();
    if (chunk == 0 && backward) {
      if (of.forward()) {
        loading.requestBackward(stage); // the stage stayed for its turn
      }

      loading.startBackward(stage);
    } else if (chunk == 0) {
      loading.startForward(stage);
    }

    layer = backward ? context.plan().endLayer(stage) - 1 : context.plan().firstLayer(stage);
    pump();
    startLayer();
  }

  /** Forward: attention, gate, experts. Backward: experts, gate, attention. */
  private void startLayer() {
    awaitsBase = !loader.isResident(ids.attention(layer)) || !loader.isResident(ids.gate(layer));
    if (awaitsBase) {
      return;
    }

    if (backward) {
      assign(loading.split(layer));
    } else {
      context.run(
          PipelineSimulator.GPU,
          name("attention"),
          context.times().attentionNanos(false),
          this::routed);
    }
  }

  private String name(String what) {
    return context.records()
        ? "%s %s layer %d chunk %d".formatted(backward ? "backward" : "forward", what, layer, chunk)
        : "";
  }

  private void routed() {
    int[] routed = context.routing().counts(layer, chunk);
    for (int expert = 0; expert < routed.length; expert++) {
      if (routed[expert] > 0 && loader.isResident(ids.expert(layer, expert))) {
        context.use().hits += routed[expert];
      } else {
        context.use().misses += routed[expert];
      }
    }

    LayerSplit decided = loading.routed(layer, routed);
    if (layer + 1 < context.plan().endLayer(visit.stage())) {
      int[] foretold = context.routing().predicted(layer + 1, chunk);
      if (foretold.length > 0) {
        loading.predicted(layer + 1, foretold);
      }
    }

    pump();
    assign(decided);
  }

  private void assign(LayerSplit decided) {
    split = decided;
    counts = context.routing().counts(layer, chunk);
    onGpu = 0;
    for (int expert = 0; expert < counts.length; expert++) {
      boolean runsOnGpu = split.isOnGpu(expert) || loader.isResident(ids.expert(layer, expert));
      side[expert] = counts[expert] == 0 ? Side.NONE : runsOnGpu ? Side.GPU : Side.CPU;
      onGpu += side[expert] == Side.GPU ? 1 : 0;
    }

    cpuPlace = counts.length;
    gpuReady = true;
    isRouting = true;
    proceed();
  }

  /** Gives both sides work, and ends the layer when there is none left. */
  private void proceed() {
    if (!gpuBusy && gpuReady) {
      feedGpu();
    }

    if (!cpuBusy) {
      feedCpu();
    }

    if (!gpuBusy && !cpuBusy && isRouting && onGpu == 0) {
      isRouting = false;
      if (backward) {
        context.run(
            PipelineSimulator.GPU,
            name("attention"),
            context.times().attentionNanos(true),
            this::endLayer);
      } else {
        loading.endLayer(layer);
        endLayer();
      }
    }
  }

  /** All experts whose weights are there, one after the other. */
  private void feedGpu() {
    gpuReady = false;
    double nanos = 0;
    int experts = 0;
    for (int expert = 0; expert < side.length; expert++) {
      if (side[expert] != Side.NONE && loader.isResident(ids.expert(layer, expert))) {
        onGpu -= side[expert] == Side.GPU ? 1 : 0;
        side[expert] = Side.NONE;
        nanos += context.times().gpuNanos(counts[expert], backward);
        context.use().gpuTokens += backward ? 0 : counts[expert];
        experts++;
      }
    }

    if (experts > 0) {
      gpuBusy = true;
      context.run(
          PipelineSimulator.GPU,
          context.records() ? name(experts + (experts == 1 ? " expert" : " experts")) : "",
          nanos,
          () -> {
            gpuBusy = false;
            proceed();
          });
    }
  }

  /** One expert, the most popular first. */
  private void feedCpu() {
    int chosen = -1;
    while (chosen < 0 && cpuPlace > 0) {
      int expert = split.expert(--cpuPlace);
      chosen = side[expert] == Side.CPU ? expert : -1;
    }

    if (chosen < 0 && !gpuBusy && !backward && onGpu > 0) {
      chosen = fasterOnCpu();
    }

    if (chosen >= 0) {
      onGpu -= side[chosen] == Side.GPU ? 1 : 0;
      side[chosen] = Side.NONE;
      cpuBusy = true;
      context.use().cpuTokens += backward ? 0 : counts[chosen];
      context.run(
          PipelineSimulator.CPU,
          context.records() ? name("expert " + chosen) : "",
          context.times().cpuNanos(counts[chosen], backward),
          () -> {
            cpuBusy = false;
            proceed();
          });
    }
  }

  /** The coldest expert whose copy still waits, if the CPU would end it before; or -1. */
  private int fasterOnCpu() {
    int coldest = -1;
    int queued = 0;
    for (int expert = 0; expert < side.length; expert++) {
      if (side[expert] == Side.GPU && loader.isQueued(ids.expert(layer, expert))) {
        queued++;
        coldest = coldest < 0 || counts[expert] < counts[coldest] ? expert : coldest;
      }
    }

    if (coldest < 0) {
      return -1;
    }

    double onGpuNanos =
        context.loads().nanosLeft()
            + queued * context.times().loadExpertNanos()
            + context.times().gpuNanos(counts[coldest], false);
    if (context.times().cpuNanos(counts[coldest], false) >= onGpuNanos) {
      return -1;
    }

    loader.cancel(ids.expert(layer, coldest));
    return coldest;
  }

  private void endLayer() {
    layer += backward ? -1 : 1;
    int stage = visit.stage();
    if (layer >= context.plan().firstLayer(stage) && layer < context.plan().endLayer(stage)) {
      startLayer();
    } else {
      done.run();
    }
  }

  @Override
  public void end(Visit ended) {
    int stage = ended.stage();
    visitOf[stage] = -1;
    double gradients = 0;
    for (int of = context.plan().firstLayer(stage); of < context.plan().endLayer(stage); of++) {
      gradients += context.times().storeBaseNanos();
      for (int part = 0; part < ids.experts() + 2; part++) {
        int block = ids.attention(of) + part;
        loader.cancel(block);
        if (!loader.isCopying(block) && loader.drop(block) && part >= 2) {
          gradients += context.times().storeExpertNanos();
        }
      }
    }

    leaving[stage] = ended;
    if (ended.backward()) {
      storing[stage] = true;
      context
          .stores()
          .copy(
              gradients,
              "gradients of stage " + stage,
              () -> {
                storing[stage] = false;
                settle(stage);
              });
    } else {
      settle(stage);
    }
  }

  /** A stage has left when nothing of it is under way any more. */
  private void settle(int stage) {
    boolean gone = leaving[stage] != null && !storing[stage];
    int from = ids.attention(context.plan().firstLayer(stage));
    int to = ids.attention(context.plan().endLayer(stage));
    for (int block = from; block < to && gone; block++) {
      gone = !loader.isCopying(block);
    }

    if (gone) {
      Visit left = leaving[stage];
      leaving[stage] = null;
      slots.dropped(left);
    }
  }
}
