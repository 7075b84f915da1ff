package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.LayerSplit;

/**
 * The experts of one layer and chunk: the GPU takes those whose weights are there, the CPU those of
 * the split one by one, both at once.
 *
 * <p>An expert that is on the GPU runs there, also if the split has changed its mind. An expert
 * whose copy still waits when nothing else is left to do goes to whichever of copy and GPU, or CPU,
 * ends first (forward only; backward loads all that its split says).
 */
final class ExpertPhase {
  private enum Side {
    NONE,
    GPU,
    CPU
  }

  private final DeviceContext context;
  private final HierarchicalLoading loading;
  private final DemandLoader loader;
  private final BlockIds ids;
  private final Side[] side; // [expert] where its tokens still wait
  private int layer;
  private int chunk;
  private boolean backward;
  private LayerSplit split;
  private Runnable done;
  private int[] counts; // [expert]
  private int cpuPlace; // experts of the split before it may wait for the CPU
  private int onGpu; // experts that wait for the GPU
  private boolean gpuReady; // weights may have come that were not there before
  private boolean isRunning;
  private boolean gpuBusy;
  private boolean cpuBusy;

  ExpertPhase(
      DeviceContext context, HierarchicalLoading loading, DemandLoader loader, BlockIds ids) {
    this.context = context;
    this.loading = loading;
    this.loader = loader;
    this.ids = ids;
    this.side = new Side[ids.experts()];
  }

  /** Computes the experts of a layer for a chunk. */
  void start(int ofLayer, int ofChunk, boolean isBackward, LayerSplit decided, Runnable whenDone) {
    layer = ofLayer;
    chunk = ofChunk;
    backward = isBackward;
    split = decided;
    done = whenDone;
    counts = context.routing().counts(layer, chunk);
    onGpu = 0;
    for (int expert = 0; expert < counts.length; expert++) {
      boolean runsOnGpu = split.isOnGpu(expert) || loader.isResident(ids.expert(layer, expert));
      side[expert] = counts[expert] == 0 ? Side.NONE : runsOnGpu ? Side.GPU : Side.CPU;
      onGpu += side[expert] == Side.GPU ? 1 : 0;
    }

    cpuPlace = counts.length;
    gpuReady = true;
    isRunning = true;
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

    if (!gpuBusy && !cpuBusy && isRunning && onGpu == 0) {
      isRunning = false;
      done.run();
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
      chosen = soonerOnCpu();
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

  /** Whichever ends first. */
  private int soonerOnCpu() {
    int[] waiting = new int[side.length];
    for (int expert = 0; expert < side.length; expert++) {
      waiting[expert] = side[expert] == Side.GPU ? counts[expert] : 0;
    }

    return loading.soonerOnCpu(layer, waiting, context.loads().nanosLeft());
  }

  /** Weights of a layer have come. */
  void arrived(int ofLayer) {
    if (isRunning && ofLayer == layer) {
      gpuReady = true;
      proceed();
    }
  }

  private String name(String what) {
    return "%s %s layer %d chunk %d"
        .formatted(backward ? "backward" : "forward", what, layer, chunk);
  }
}
