package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.ActionLists;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.BlockIds;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.HierarchicalLoading;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.IntUnaryOperator;

/**
 * Runs steps of a pipeline on a described machine. Popularity is kept from one step to the next;
 * all else starts anew. Not safe for several threads.
 */
public final class PipelineSimulator {
  /** Stream of the GPU's computation. */
  public static final String GPU = "gpu";

  /** Stream of the experts on the CPU. */
  public static final String CPU = "cpu";

  /** Stream of copies from the host. */
  public static final String LOAD = "load";

  /** Stream of gradients to the host. */
  public static final String STORE = "store";

  /** Stream of activations and gradients to other GPUs. */
  public static final String SEND = "send";

  private final StagePlan plan;
  private final int experts;
  private final PipelineSettings settings;
  private final WorkTimes times;
  private final IntUnaryOperator complexOf;
  private final Optional<ExecutorRules> executor;
  private final List<DemandLoader> loaders = new ArrayList<>();
  private final List<HierarchicalLoading> loadings = new ArrayList<>();

  /**
   * A simulator before its first step.
   *
   * @param experts of each layer
   * @param complexOf the root complex of each GPU
   */
  public PipelineSimulator(
      StagePlan plan,
      int experts,
      PipelineSettings settings,
      WorkTimes times,
      IntUnaryOperator complexOf) {
    this(plan, experts, settings, times, complexOf, Optional.empty());
  }

  private PipelineSimulator(
      StagePlan plan,
      int experts,
      PipelineSettings settings,
      WorkTimes times,
      IntUnaryOperator complexOf,
      Optional<ExecutorRules> executor) {
    this.plan = plan;
    this.experts = experts;
    this.settings = settings;
    this.times = times;
    this.complexOf = complexOf;
    this.executor = executor;
    for (int device = 0; device < plan.devices(); device++) {
      DemandLoader loader =
          new DemandLoader(new BlockIds(plan.layers(), experts).count(), settings.outstanding());
      loaders.add(loader);
      loadings.add(
          new HierarchicalLoading(
              plan,
              experts,
              settings.chunks(),
              times,
              settings.policy(),
              new SplittableRandom(settings.seed() + device),
              loader));
    }
  }

  /**
   * A simulator of what the executor of fine-tuning does on one machine, before its first step.
   *
   * @param experts of each layer
   * @param chunks micro-batches of a step
   * @param seed of the policy that draws
   */
  public static PipelineSimulator ofExecutor(
      StagePlan plan,
      int experts,
      int chunks,
      AffinityPolicy policy,
      long seed,
      ExecutorRules rules) {
    return new PipelineSimulator(
        plan,
        experts,
        new PipelineSettings(chunks, true, true, policy, DemandLoader.OUTSTANDING, seed),
        rules.times(),
        gpu -> gpu,
        Optional.of(rules));
  }

  /**
   * Runs a step.
   *
   * @param records whether its timeline is kept
   * @throws IllegalArgumentException if the routing is of another shape
   */
  public StepResult step(StepRouting routing, boolean records) {
    if (routing.layers() != plan.layers()
        || routing.chunks() != settings.chunks()
        || routing.experts() != experts) {
      throw new IllegalArgumentException(
          "Invalid routing: %d layers, %d micro-batches, %d experts, expected %d, %d, %d"
              .formatted(
                  routing.layers(),
                  routing.chunks(),
                  routing.experts(),
                  plan.layers(),
                  settings.chunks(),
                  experts));
    }

    EventQueue events = new EventQueue();
    Map<Integer, SharedLink> up = new TreeMap<>();
    Optional<CpuPool> pool =
        executor.map(
            rules ->
                new CpuPool(
                    events,
                    rules.cpuWorkers(),
                    busy -> up.values().forEach(link -> link.pace(rules.loadPace(busy)))));
    CpuPool updates = new CpuPool(events, 1, busy -> {});
    List<Span> spans = new ArrayList<>();
    Map<Integer, SharedLink> down = new TreeMap<>();
    List<DeviceWalk> walks = new ArrayList<>();
    List<DeviceContext> contexts = new ArrayList<>();
    for (int device = 0; device < plan.devices(); device++) {
      int gpu = plan.gpu(device);
      int complex = complexOf.applyAsInt(gpu);
      up.computeIfAbsent(complex, id -> new SharedLink(events, times.rootComplexCapacity()));
      down.computeIfAbsent(complex, id -> new SharedLink(events, times.rootComplexCapacity()));
      DeviceContext context =
          new DeviceContext(
              events,
              plan,
              device,
              Visit.of(plan, device, settings.backward(), settings.keepTurn()),
              times,
              routing,
              new CopyEngine(events, up.get(complex), gpu, LOAD, spans, records),
              new CopyEngine(events, down.get(complex), gpu, STORE, spans, records),
              spans,
              records,
              new DeviceUse());
      contexts.add(context);
      walks.add(
          new DeviceWalk(
              context,
              ActionLists.of(plan, device, settings.chunks(), settings.backward()),
              settings.chunks(),
              work(context, pool, updates),
              stage -> walks.get(plan.owner(stage))));
    }

    walks.forEach(walk -> events.at(0, walk::proceed));
    events.run();
    walks.forEach(DeviceWalk::checkDone);
    loadings.forEach(HierarchicalLoading::endStep);
    return new StepResult(
        events.now(),
        0,
        contexts.stream().map(PipelineSimulator::result).toList(),
        routing.concentration(),
        new Timeline(spans));
  }

  /**
   * Runs steps.
   *
   * @param routing of the steps, the warm-up first
   * @param warmup steps that are not kept; they give the popularity of a step before
   * @param steps that are kept at most, one at least
   * @param records whether the last step's timeline is kept
   * @throws IllegalArgumentException if the routing ends within the warm-up, or is of another shape
   */
  public List<StepResult> run(RoutingSource routing, int warmup, int steps, boolean records) {
    List<StepResult> results = new ArrayList<>();
    Optional<StepRouting> next = routing.next();
    for (int step = 0; step < warmup + steps && next.isPresent(); step++) {
      StepRouting current = next.orElseThrow();
      boolean more = step + 1 < warmup + steps;
      next = more ? routing.next() : Optional.empty();
      StepResult result = step(current, records && next.isEmpty());
      if (step >= warmup) {
        results.add(result);
      }
    }

    if (results.isEmpty()) {
      throw new IllegalArgumentException(
          "Cannot simulate: the routing has no step after %d to warm up".formatted(warmup));
    }

    return results;
  }

  private StageWork work(DeviceContext context, Optional<CpuPool> pool, CpuPool updates) {
    if (executor.isPresent()) {
      return new ExecutorWork(
          context,
          executor.orElseThrow(),
          pool.orElseThrow(),
          updates,
          loadings.get(context.device()),
          loaders.get(context.device()));
    }

    return plan.kind() == PipelineKind.APTMOE
        ? new HierarchicalWork(
            context, loadings.get(context.device()), loaders.get(context.device()))
        : new WholeStageWork(context);
  }

  private static StepResult.DeviceResult result(DeviceContext context) {
    DeviceUse use = context.use();
    return new StepResult.DeviceResult(
        use.gpuNanos,
        use.cpuNanos,
        context.loads().busyNanos(),
        use.basesLoaded,
        use.expertsLoaded,
        use.gpuTokens,
        use.cpuTokens,
        use.hits,
        use.misses);
  }
}
