package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.Action;
import io.expertatlas.runtime.pipeline.Action.What;
import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.ArrayDeque;

/**
 * Stages as the executor of fine-tuning computes them, whatever the pipeline: block by block as
 * weights arrive, embedding and head with the first and last layer; backward computes each layer
 * again if it recomputes; at the end of a visit gradients leave for the host and weights are
 * dropped. A span of the device is an action, and holds the time in which weights are awaited.
 */
final class ExecutorWork implements StageWork {
  private static final int INTER_STAGE = 2;
  private static final int INTER_LAYER = 1;

  private final DeviceContext context;
  private final ExecutorRules rules;
  private final ProfiledTimes times;
  private final StagePlan plan;
  private final HierarchicalLoading loading;
  private final DemandLoader loader;
  private final BlockIds ids;
  private final ExecutorExperts experts;
  private final boolean splits;
  private final CpuPool updates;
  private final ArrayDeque<Step> steps = new ArrayDeque<>();
  private int requested; // visits whose weights were asked for
  private int storing; // visits whose gradients are under way
  private Runnable awaitsRoom = () -> {};
  private Runnable awaitsBlock = () -> {};

  /** A part of an action. */
  private interface Step {
    void run(Runnable next);
  }

  ExecutorWork(
      DeviceContext context,
      ExecutorRules rules,
      CpuPool pool,
      CpuPool updates,
      HierarchicalLoading loading,
      DemandLoader loader) {
    this.context = context;
    this.rules = rules;
    this.times = rules.times();
    this.plan = context.plan();
    this.updates = updates;
    this.loading = loading;
    this.loader = loader;
    this.ids = new BlockIds(plan.layers(), context.routing().experts());
    this.experts = new ExecutorExperts(context, rules, pool, loading, loader);
    this.splits = plan.kind() == PipelineKind.APTMOE;
  }

  @Override
  public void begin(Visit begun) {
    request(begun);
    start(begun.stage(), !begun.forward());
    if (begun.number() + 1 < context.visits().size()) {
      Visit next = context.visits().get(begun.number() + 1);
      if (rules.storesHoldRoom() && storing > 0) {
        awaitsRoom = () -> request(next);
      } else {
        request(next);
      }
    }

    pump();
  }

  private void request(Visit wanted) {
    if (wanted.number() < requested) {
      return;
    }

    requested = wanted.number() + 1;
    if (!splits) {
      push(wanted.stage(), INTER_STAGE, !wanted.forward());
    } else if (wanted.forward()) {
      loading.requestForward(wanted.stage());
    } else {
      loading.requestBackward(wanted.stage());
    }
  }

  private void start(int stage, boolean backward) {
    if (!splits) {
      push(stage, INTER_LAYER, backward);
    } else if (backward) {
      loading.startBackward(stage);
    } else {
      loading.startForward(stage);
    }
  }

  private void push(int stage, int priority, boolean lastFirst) {
    int first = plan.firstLayer(stage);
    int layers = plan.endLayer(stage) - first;
    for (int i = 0; i < layers; i++) {
      int block = ids.attention(lastFirst ? first + layers - 1 - i : first + i);
      for (int part = 0; part < ids.experts() + 2; part++) {
        loader.push(block + part, priority);
      }
    }
  }

  private void pump() {
    for (int block = loader.next(); block >= 0; block = loader.next()) {
      int copied = block;
      context
          .loads()
          .copy(
              loadNanos(block),
              context.records() ? "load " + ids.describe(block) : "",
              () -> arrived(copied));
    }
  }

  private double loadNanos(int block) {
    int layer = ids.layerOf(block);
    if (ids.expertOf(block) >= 0) {
      context.use().expertsLoaded++;
      return times.loadExpertNanos();
    }

    if (block == ids.gate(layer)) {
      context.use().basesLoaded++;
      return times.loadGateNanos();
    }

    return times.loadAttentionNanos()
        + (layer == 0 ? times.piece(Piece.LOAD_EMBEDDING) : 0)
        + (layer == plan.layers() - 1 ? times.piece(Piece.LOAD_HEAD) : 0);
  }

  private void arrived(int block) {
    loader.completed(block);
    pump();
    Runnable resumed = awaitsBlock;
    awaitsBlock = () -> {};
    resumed.run();
    experts.resume();
  }

  @Override
  public void compute(Visit visit, int chunk, boolean backward, Runnable done) {
    int stage = visit.stage();
    if (chunk == 0 && backward && visit.forward()) {
      if (splits) {
        loading.requestBackward(stage); // it stayed for its turn
      }

      start(stage, true);
      pump();
    }

    long begin = context.events().now();
    if (backward) {
      backward(stage, chunk);
    } else {
      forward(stage, chunk);
    }

    steps.add(
        next -> {
          record(stage, chunk, backward, begin);
          next.run();
        });
    boolean isLast = chunk == context.routing().chunks() - 1 && backward == visit.backward();
    if (isLast) {
      steps.add(next -> leave(visit, next));
    }

    proceed(done);
  }

  private void proceed(Runnable done) {
    if (steps.isEmpty()) {
      done.run();
    } else {
      steps.poll().run(() -> proceed(done));
    }
  }

  private void record(int stage, int chunk, boolean backward, long begin) {
    if (context.records()) {
      Action action =
          backward
              ? new Action(What.BACKWARD, stage, stage == plan.stages() - 1 ? -1 : stage + 1, chunk)
              : new Action(stage == 0 ? What.LOAD_FORWARD : What.FORWARD, stage, stage - 1, chunk);
      context
          .spans()
          .add(
              new Span(
                  context.gpu(),
                  PipelineSimulator.GPU,
                  action.toString(),
                  begin,
                  context.events().now()));
    }
  }

  private void forward(int stage, int chunk) {
    for (int layer = plan.firstLayer(stage); layer < plan.endLayer(stage); layer++) {
      int of = layer;
      base(of);
      busy(times.attentionNanos(false) + (of == 0 ? times.embedNanos(false) : 0));
      ExecutorExperts.Group all = experts.forward(of, chunk);
      steps.add(
          next -> {
            all.start(next);
            pump(); // the gate's word may ask for experts
          });
      steps.add(all::finish);
      if (splits) {
        steps.add(
            next -> {
              loading.endLayer(of);
              next.run();
            });
      }
    }

    if (stage == plan.stages() - 1) {
      busy(times.headNanos(false));
    }
  }

  private void backward(int stage, int chunk) {
    for (int layer = plan.endLayer(stage) - 1; layer >= plan.firstLayer(stage); layer--) {
      int of = layer;
      base(of);
      if (of == plan.layers() - 1) {
        busy((times.recomputes() ? times.headNanos(false) : 0) + times.headNanos(true));
      }

      ExecutorExperts.Group taped = experts.backward(of, chunk, true);
      steps.add(taped::start);
      busy(times.recomputes() ? times.attentionAgainNanos() : 0);
      ExecutorExperts.Group others = experts.backward(of, chunk, false);
      steps.add(others::start);
      steps.add(others::finish);
      steps.add(taped::finish);
      busy(times.attentionNanos(true) + (of == 0 ? times.embedNanos(true) : 0));
      busy(chunk == 0 ? zeros(of) : 0);
    }
  }

  /** Zeros for the gradients of a layer, but its experts', and of the model's ends with it. */
  private double zeros(int layer) {
    return times.piece(Piece.CLEAR_ATTENTION)
        + times.piece(Piece.CLEAR_GATE)
        + (layer == 0 ? times.piece(Piece.CLEAR_EMBEDDING) : 0)
        + (layer == plan.layers() - 1 ? times.piece(Piece.CLEAR_HEAD) : 0);
  }

  private void busy(double nanos) {
    steps.add(next -> context.busy(nanos, next));
  }

  private void base(int layer) {
    steps.add(next -> awaitBase(layer, next));
  }

  private void awaitBase(int layer, Runnable next) {
    if (loader.isResident(ids.attention(layer)) && loader.isResident(ids.gate(layer))) {
      next.run();
    } else {
      awaitsBlock = () -> awaitBase(layer, next);
    }
  }

  /** Gradients leave; weights are dropped when none of them is under way. */
  private void leave(Visit visit, Runnable next) {
    int first = plan.firstLayer(visit.stage());
    int end = plan.endLayer(visit.stage());
    double behind = 0;
    double onThread = 0;
    for (int layer = first; visit.backward() && layer < end; layer++) {
      behind +=
          times.storeBaseNanos()
              + experts.storedByDevice(layer) * times.storeExpertNanos()
              + (layer == 0 ? times.piece(Piece.STORE_EMBEDDING) : 0)
              + (layer == plan.layers() - 1 ? times.piece(Piece.STORE_HEAD) : 0);
      onThread += experts.storedByCpu(layer) * times.piece(Piece.STORE_CPU_EXPERT);
    }

    experts.endVisit();
    int[] open = {rules.hostDevices() ? 1 : 2}; // stores behind and on this thread
    Runnable there =
        () -> {
          if (--open[0] == 0 && visit.backward() && rules.updatesMeanwhile()) {
            updates.submit((end - first) * times.layerOptimizerNanos(), () -> {}, () -> {});
          }
        };
    if (rules.hostDevices()) {
      onThread += behind;
    } else if (visit.backward()) {
      storing++;
      context.stores().copy(behind, "gradients of stage " + visit.stage(), () -> stored(there));
    }

    context
        .events()
        .after(
            Math.round(onThread),
            () -> {
              there.run();
              drop(ids.attention(first), ids.attention(end), next);
            });
  }

  private void stored(Runnable there) {
    there.run();
    storing--;
    if (storing == 0) {
      Runnable resumed = awaitsRoom;
      awaitsRoom = () -> {};
      resumed.run();
      pump();
    }
  }

  private void drop(int from, int to, Runnable next) {
    for (int block = from; block < to; block++) {
      loader.cancel(block);
    }

    for (int block = from; block < to; block++) {
      if (loader.isCopying(block)) {
        awaitsBlock = () -> drop(from, to, next);
        return;
      }
    }

    for (int block = from; block < to; block++) {
      loader.drop(block);
    }

    next.run();
  }

  @Override
  public void end(Visit visit) {}
}
