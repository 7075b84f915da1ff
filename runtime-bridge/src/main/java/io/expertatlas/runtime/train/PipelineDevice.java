package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.Action;
import io.expertatlas.runtime.pipeline.ActionLists;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.Visit;
import io.expertatlas.runtime.train.Stage.Keep;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
  private final MatrixDevice matrices;
  private final Keep keep;
  private final long kept; // bytes of layers until backward, per token of a micro-batch
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
      Backend backend,
      List<Stage> stages,
      Arena arena,
      ExecutorService pool,
      SpanLog spans,
      int chunks,
      boolean backward,
      ActionProbe probe) {
    this.device = device;
    this.options = options;
    this.matrices = backend.devices().get(device);
    this.keep = backward ? backend.keep() : Keep.NOTHING;
    this.stages = stages;
    this.arena = arena;
    this.spans = spans;
    this.chunks = chunks;
    this.backward = backward;
    this.probe = probe;
    this.memory = new DeviceMemory(device, stages.get(0).model(), matrices, arena, spans);
    this.hierarchy =
        new HierarchicalLoading(
            options.plan(),
            memory.ids().experts(),
            chunks,
            options.costs(),
            options.policy(),
            new SplittableRandom(options.seed() + device),
            memory.loader());
    this.kept =
        keep == Keep.REDUCED ? PipelineNeed.keptBytes(options, backend, stages, device, 1) : 0;
    this.experts =
        new DeviceExperts(
            device, splits(), memory, hierarchy, options.costs(), backend.cpu(), pool, spans);
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
  double[] run(List<TokenBatch> parts, long targets, PipelineNetwork network, Completion completion)
      throws InterruptedException {
    return new Walk(parts, targets, network, completion).run();
  }

  /** One walk through the actions. */
  private final class Walk {
    private final StagePlan plan = options.plan();
    private final List<TokenBatch> parts;
    private final long targets;
    private final PipelineNetwork network;
    private final Completion completion;
    private final List<Visit> visits = Visit.of(plan, device, backward, true);
    private final double[] losses = new double[chunks];
    private final Map<Integer, Stage.Tape> tapes = new HashMap<>(); // by stage * chunks + chunk
    private Optional<Matrix> result = Optional.empty(); // of the last computation, to be sent
    private int visit;
    private int requested; // visits whose weights were asked for

    Walk(List<TokenBatch> parts, long targets, PipelineNetwork network, Completion completion) {
      this.parts = parts;
      this.targets = targets;
      this.network = network;
      this.completion = completion;
    }

    double[] run() throws InterruptedException {
      arena.reserve("layers until backward", kept * parts.get(0).tokens());
      for (Action action : ActionLists.of(plan, device, chunks, backward)) {
        probe.before(device, action);
        try {
          act(action);
        } catch (RuntimeException e) {
          throw new PipelineException(
              "Device %d failed at '%s': %s".formatted(device, action, e.getMessage()), e);
        }
      }

      matrices.synchronize();
      arena.release(kept * parts.get(0).tokens());
      memory.ask(hierarchy::endStep);
      return losses;
    }

    private void act(Action action) throws InterruptedException {
      if (action.isSend()) {
        boolean down = action.what() == Action.What.SEND_GRAD;
        long begin = System.nanoTime();
        if (plan.owner(action.peer()) != device) {
          matrices.synchronize();
        }

        network.send(down, action.peer(), action.chunk(), result.orElseThrow());
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
      TokenBatch part = parts.get(0);
      return stage.tapeBytes(part.tokens(), part.length(), keep, matrices)
          + (current.backward() ? stage.copyBytes(matrices) : 0);
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
      Optional<Matrix> input =
          stage.isFirst() ? Optional.empty() : receive(false, action.stage(), action.chunk());
      long begin = System.nanoTime();
      Stage.Tape tape =
          stage.forward(parts.get(action.chunk()), input, targets, keep, memory, experts);
      spans.add(device, SpanLog.GPU, action.toString(), begin);
      result = Optional.of(tape.output());
      if (stage.isLast()) {
        losses[action.chunk()] = tape.loss();
      }

      if (backward) {
        tapes.put(action.stage() * chunks + action.chunk(), tape);
      } else if (stage.isLast()) {
        matrices.release(tape.output());
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

      Optional<Matrix> gradient =
          stage.isLast() ? Optional.empty() : receive(true, action.stage(), action.chunk());
      Stage.Tape tape = tapes.remove(action.stage() * chunks + action.chunk());
      long begin = System.nanoTime();
      result = stage.backward(tape, gradient, targets, memory, experts);
      spans.add(device, SpanLog.GPU, action.toString(), begin);
    }

    /** What another device made is copied here, and given up there. */
    private Optional<Matrix> receive(boolean down, int stage, int chunk)
        throws InterruptedException {
      Matrix sent = network.receive(down, stage, chunk);
      try (MatrixDevice.Scope scope = matrices.scope()) {
        Matrix here = matrices.take(sent);
        if (here != sent) {
          scope.keep(here);
          matrices.synchronize();
          sent.device().release(sent);
        }

        return Optional.of(here);
      }
    }

    private void end(Visit current) throws InterruptedException {
      Stage stage = stages.get(current.stage());
      if (current.backward()) {
        stage.storeGradients(
            parameter -> memory.takeGradient(parameter).or(() -> experts.takeGradient(parameter)));
        completion.stored(stage, matrices.stored());
      }

      experts.endVisit();
      memory.drop(stage.first(), stage.end());
      arena.release(reserved(current, stage));
      visit++;
    }
  }

  long loadedBytes() {
    return memory.loadedBytes();
  }

  @Override
  public void close() {
    memory.close();
  }
}
