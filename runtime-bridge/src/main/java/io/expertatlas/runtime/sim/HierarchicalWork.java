package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.LayerSplit;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.Arrays;

/** APTMoE's stages: layers compute as their weights arrive, their experts on both sides at once. */
final class HierarchicalWork implements StageWork {
  private final DeviceContext context;
  private final HierarchicalLoading loading;
  private final DemandLoader loader;
  private final BlockIds ids;
  private final StageSlots slots;
  private final ExpertPhase phase;
  private final int[] visitOf; // [stage] the visit whose weights are there or coming, or -1
  private final Visit[] leaving; // [stage] the visit whose weights or gradients are still there
  private final boolean[] storing; // [stage] gradients are on their way to the host
  private Visit visit;
  private int chunk;
  private boolean backward;
  private int layer;
  private Runnable done;
  private Runnable awaitsRoom = () -> {};
  private boolean awaitsBase;

  HierarchicalWork(DeviceContext context, HierarchicalLoading loading, DemandLoader loader) {
    this.context = context;
    this.loading = loading;
    this.loader = loader;
    this.ids = new BlockIds(context.plan().layers(), context.routing().experts());
    this.slots = new StageSlots(context.visits(), this::request);
    this.phase = new ExpertPhase(context, loading, loader, ids);
    this.visitOf = new int[context.plan().stages()];
    this.leaving = new Visit[context.plan().stages()];
    this.storing = new boolean[context.plan().stages()];
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
    } else {
      phase.arrived(ids.layerOf(block));
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
      phase.start(layer, chunk, true, loading.split(layer), this::experts);
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
    phase.start(layer, chunk, false, decided, this::experts);
  }

  /** The experts of the layer are computed. */
  private void experts() {
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
