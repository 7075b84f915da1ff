package io.expertatlas.runtime.train;

import io.expertatlas.runtime.pipeline.Action;
import io.expertatlas.runtime.pipeline.ActionLists;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;

/**
 * A logical device: walks its actions on a thread of its own. Weights are copied when a visit of
 * theirs begins, those of the next visit behind them, and dropped when it ends. What backward needs
 * of forward is kept by the host; the memory of one micro-batch's is reserved. Spans of
 * computations begin when their input is there and hold the time in which weights are awaited.
 */
final class PipelineDevice implements AutoCloseable {
  private static final int INTER_STAGE = 2;
  private static final int INTER_LAYER = 1;

  private final int device;
  private final PipelineOptions options;
  private final List<Stage> stages;
  private final Arena arena;
  private final DeviceMemory memory;
  private final HierarchicalLoading hierarchy; // for APTMoE
  private final DeviceExperts experts;
  private final SpanLog spans;
  private final int chunks;
  private final boolean backward;
  private final ActionProbe probe;

  /** Is told of each action before it begins. */
  interface ActionProbe {
    void before(int device, Action action);
  }

  PipelineDevice(
      int device,
      PipelineOptions options,
      List<Stage> stages,
      Arena arena,
      ExecutorService pool,
      SpanLog spans,
      int chunks,
      boolean backward,
      ActionProbe probe) {
    this.device = device;
    this.options = options;
    this.stages = stages;
    this.arena = arena;
    this.spans = spans;
    this.chunks = chunks;
    this.backward = backward;
    this.probe = probe;
    this.memory = new DeviceMemory(device, stages.get(0).model(), arena, spans);
    this.hierarchy =
        new HierarchicalLoading(
            options.plan(),
            memory.ids().experts(),
            chunks,
            options.costs(),
            options.policy(),
            new SplittableRandom(options.seed() + device),
            memory.loader());
    this.experts = new DeviceExperts(device, splits(), memory, hierarchy, pool, spans);
  }

  private boolean splits() {
    return options.plan().kind() == PipelineKind.APTMOE;
  }

  /**
   * A step, or its forward pass.
   *
   * @return the loss of each micro-batch, summed over its targets; zeros where the last stage is
   *     another device's
   */
  double[] run(List<TokenBatch> parts, long targets, PipelineNetwork network)
      throws InterruptedException {
    return new Walk(parts, targets, network).run();
  }

  /** One walk through the actions. */
  private final class Walk {
    private final StagePlan plan = options.plan();
    private final List<TokenBatch> parts;
    private final long targets;
    private final PipelineNetwork network;
    private final List<Visit> visits = Visit.of(plan, device, backward, true);
    private final double[] losses = new double[chunks];
    private final Map<Integer, Stage.Tape> tapes = new HashMap<>(); // by stage * chunks + chunk
    private Matrix result = new Matrix(0, 0); // of the last computation, to be sent
    private int visit;
    private int requested; // visits whose weights were asked for

    Walk(List<TokenBatch> parts, long targets, PipelineNetwork network) {
      this.parts = parts;
      this.targets = targets;
      this.network = network;
    }

    double[] run() throws InterruptedException {
      for (Action action : ActionLists.of(plan, device, chunks, backward)) {
        probe.before(device, action);
        try {
          act(action);
        } catch (RuntimeException e) {
          throw new PipelineException(
              "Device %d failed at '%s': %s".formatted(device, action, e.getMessage()), e);
        }
      }

      memory.ask(hierarchy::endStep);
      return losses;
    }

    private void act(Action action) throws InterruptedException {
      if (action.isSend()) {
        boolean down = action.what() == Action.What.SEND_GRAD;
        long begin = System.nanoTime();
        network.send(down, action.peer(), action.chunk(), result);
        spans.add(device, SpanLog.SEND, action.toString(), begin);
      } else if (action.isForward() || action.isBackward()) {
        Visit current = visits.get(visit);
        if (current.beginsWith(action)) {
          begin(current);
        }

        if (action.isForward()) {
          forward(action);
        } else {
          backward(action, current);
        }

        if (current.endsWith(action, chunks)) {
          end(current);
        }
      }
    }

    private void begin(Visit current) throws InterruptedException {
      Stage stage = stages.get(current.stage());
      request(current);
      arena.reserve("stage %d".formatted(current.stage()), reserved(current, stage));
      if (current.forward()) {
        memory.ask(() -> start(current.stage(), false));
      }

      if (current.number() + 1 < visits.size()) {
        request(visits.get(current.number() + 1));
      }
    }

    /** Activations of a micro-batch, and gradients. */
    private long reserved(Visit current, Stage stage) {
      return stage.tapeBytes(parts.get(0).tokens()) + (current.backward() ? stage.copyBytes() : 0);
    }

    private void request(Visit wanted) {
      if (wanted.number() < requested) {
        return;
      }

      requested = wanted.number() + 1;
      memory.ask(
          () -> {
            if (!splits()) {
              push(wanted.stage(), INTER_STAGE, !wanted.forward());
            } else if (wanted.forward()) {
              hierarchy.requestForward(wanted.stage());
            } else {
              hierarchy.requestBackward(wanted.stage());
            }
          });
    }

    private void start(int stage, boolean isBackward) {
      if (!splits()) {
        push(stage, INTER_LAYER, isBackward);
      } else if (isBackward) {
        hierarchy.startBackward(stage);
      } else {
        hierarchy.startForward(stage);
      }
    }

    /** Asks for a whole stage, in the order in which its layers are computed. */
    private void push(int stage, int priority, boolean lastFirst) {
      int first = plan.firstLayer(stage);
      int layers = plan.endLayer(stage) - first;
      for (int i = 0; i < layers; i++) {
        int layer = lastFirst ? first + layers - 1 - i : first + i;
        int block = memory.ids().attention(layer);
        for (int part = 0; part < memory.ids().experts() + 2; part++) {
          memory.loader().push(block + part, priority);
        }
      }
    }

    private void forward(Action action) throws InterruptedException {
      Stage stage = stages.get(action.stage());
      Matrix input =
          stage.isFirst()
              ? new Matrix(0, 0)
              : network.receive(false, action.stage(), action.chunk());
      long begin = System.nanoTime();
      Stage.Tape tape = stage.forward(parts.get(action.chunk()), input, targets, memory, experts);
      spans.add(device, SpanLog.GPU, action.toString(), begin);
      result = tape.output();
      if (stage.isLast()) {
        losses[action.chunk()] = tape.loss();
      }

      if (backward) {
        tapes.put(action.stage() * chunks + action.chunk(), tape);
      }
    }

    private void backward(Action action, Visit current) throws InterruptedException {
      Stage stage = stages.get(action.stage());
      if (action.chunk() == 0) {
        memory.ask(
            () -> {
              if (current.forward() && splits()) {
                hierarchy.requestBackward(action.stage()); // it stayed for its turn
              }

              start(action.stage(), true);
            });
      }

      Matrix gradient =
          stage.isLast() ? new Matrix(0, 0) : network.receive(true, action.stage(), action.chunk());
      Stage.Tape tape = tapes.remove(action.stage() * chunks + action.chunk());
      long begin = System.nanoTime();
      result = stage.backward(tape, gradient, memory, experts);
      spans.add(device, SpanLog.GPU, action.toString(), begin);
    }

    private void end(Visit current) throws InterruptedException {
      Stage stage = stages.get(current.stage());
      if (current.backward()) {
        stage.flush(memory);
        memory.clearGradients();
      }

      memory.drop(stage.first(), stage.end());
      arena.release(reserved(current, stage));
      visit++;
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
