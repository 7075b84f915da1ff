package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.pipeline.Visit;

/**
 * Whole stages on the GPU: always there (GPipe), or loaded one after the other (GPipeOffload,
 * Mobius). A stage computes when all of it is there.
 */
final class WholeStageWork implements StageWork {
  private final DeviceContext context;
  private final boolean offloads;
  private final StageSlots slots;
  private final boolean[] loaded; // [visit]
  private Runnable waiting = () -> {};

  WholeStageWork(DeviceContext context) {
    this.context = context;
    this.offloads = context.plan().kind().offloads();
    this.slots = new StageSlots(context.visits(), this::load);
    this.loaded = new boolean[context.visits().size()];
  }

  @Override
  public void begin(Visit visit) {
    if (offloads) {
      slots.begin(visit);
    }
  }

  private int layers(Visit visit) {
    return context.plan().endLayer(visit.stage()) - context.plan().firstLayer(visit.stage());
  }

  private void load(Visit visit) {
    WorkTimes times = context.times();
    int layers = layers(visit);
    int experts = context.routing().experts();
    context.use().basesLoaded += layers;
    context.use().expertsLoaded += (long) layers * experts;
    context
        .loads()
        .copy(
            layers * (times.loadBaseNanos() + experts * times.loadExpertNanos()),
            "load stage " + visit.stage(),
            () -> {
              loaded[visit.number()] = true;
              Runnable resumed = waiting;
              waiting = () -> {};
              resumed.run();
            });
  }

  @Override
  public void compute(Visit visit, int chunk, boolean backward, Runnable done) {
    if (offloads && !loaded[visit.number()]) {
      waiting = () -> compute(visit, chunk, backward, done);
      return;
    }

    double nanos = 0;
    StepRouting routing = context.routing();
    int end = context.plan().endLayer(visit.stage());
    for (int layer = context.plan().firstLayer(visit.stage()); layer < end; layer++) {
      nanos += context.times().attentionNanos(backward);
      for (int tokens : routing.counts(layer, chunk)) {
        nanos += context.times().gpuNanos(tokens, backward);
        context.use().gpuTokens += backward ? 0 : tokens;
        context.use().hits += backward ? 0 : tokens;
      }
    }

    context.run(
        PipelineSimulator.GPU,
        "%s stage %d chunk %d".formatted(backward ? "backward" : "forward", visit.stage(), chunk),
        nanos,
        done);
  }

  @Override
  public void end(Visit visit) {
    if (!offloads) {
      return;
    }

    if (!visit.backward()) {
      slots.dropped(visit);
      return;
    }

    WorkTimes times = context.times();
    context
        .stores()
        .copy(
            layers(visit)
                * (times.storeBaseNanos() + context.routing().experts() * times.storeExpertNanos()),
            "gradients of stage " + visit.stage(),
            () -> slots.dropped(visit));
  }
}
