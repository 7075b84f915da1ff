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
  private Visit visit;
  private int chunk;
  private boolean backward;
  private int layer;
  private Runnable done;
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
      proceed();
    }
  }

  @Override
  public void compute(Visit of, int ofChunk, boolean isBackward, Runnable whenDone) {
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
    int[] counts = context.routing().counts(layer, chunk);
    for (int expert = 0; expert < counts.length; expert++) {
      if (counts[expert] > 0 && loader.isResident(ids.expert(layer, expert))) {
        context.use().hits++;
      } else if (counts[expert] > 0) {
        context.use().misses++;
      }
    }

    LayerSplit split = loading.routed(layer, counts);
    if (layer + 1 < context.plan().endLayer(visit.stage())) {
      int[] foretold = context.routing().predicted(layer + 1, chunk);
      if (foretold.length > 0) {
        loading.predicted(layer + 1, foretold);
      }
    }

    pump();
    assign(split);
  }

  private void assign(LayerSplit split) {
    int[] counts = context.routing().counts(layer, chunk);
    for (int expert = 0; expert < counts.length; expert++) {
      int block = ids.expert(layer, expert);
      boolean onGpu = split.isOnGpu(expert) || loader.isResident(block);
      side[expert] = counts[expert] == 0 ? Side.NONE : onGpu ? Side.GPU : Side.CPU;
    }

    isRouting = true;
    proceed();
  }

  /** Gives both sides work, and ends the layer when there is none left. */
  private void proceed() {
    if (!gpuBusy) {
      feedGpu();
    }

    if (!cpuBusy) {
      feedCpu();
    }

    if (!gpuBusy && !cpuBusy && isRouting && waiting(Side.GPU) < 0) {
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

  /** The expert with the fewest tokens that waits on a side, or -1. */
  private int waiting(Side of) {
    int[] counts = context.routing().counts(layer, chunk);
    int coldest = -1;
    for (int expert = 0; expert < side.length; expert++) {
      if (side[expert] == of && (coldest < 0 || counts[expert] < counts[coldest])) {
        coldest = expert;
      }
    }

    return coldest;
  }

  /** All experts whose weights are there, one after the other. */
  private void feedGpu() {
    int[] counts = context.routing().counts(layer, chunk);
    double nanos = 0;
    int experts = 0;
    for (int expert = 0; expert < side.length; expert++) {
      if (side[expert] != Side.NONE && loader.isResident(ids.expert(layer, expert))) {
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

  private void feedCpu() {
    int[] counts = context.routing().counts(layer, chunk);
    int chosen = -1;
    for (int expert = 0; expert < side.length; expert++) {
      if (side[expert] == Side.CPU && (chosen < 0 || counts[expert] > counts[chosen])) {
        chosen = expert;
      }
    }

    if (chosen < 0 && !gpuBusy && !backward) {
      chosen = fasterOnCpu();
    }

    if (chosen >= 0) {
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

  /** The last expert that waits for its copy, if the CPU would end it before; or -1. */
  private int fasterOnCpu() {
    int last = waiting(Side.GPU);
    if (last < 0 || !loader.isQueued(ids.expert(layer, last))) {
      return -1;
    }

    int queued = 0;
    for (int expert = 0; expert < side.length; expert++) {
      queued += side[expert] == Side.GPU && loader.isQueued(ids.expert(layer, expert)) ? 1 : 0;
    }

    int tokens = context.routing().counts(layer, chunk)[last];
    double onGpu =
        context.loads().nanosLeft()
            + queued * context.times().loadExpertNanos()
            + context.times().gpuNanos(tokens, false);
    if (context.times().cpuNanos(tokens, false) >= onGpu) {
      return -1;
    }

    loader.cancel(ids.expert(layer, last));
    return last;
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
