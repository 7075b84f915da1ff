package io.expertatlas.runtime.train;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;

/**
 * A model over a pipeline of devices, a thread each: GPipe, GPipeOffload, Mobius or APTMoE. On
 * logical devices of the CPU loss and gradients are those of {@link PlainExecutor}, to the last
 * bit. If a device fails, all stop, and the executor is of no more use.
 */
public final class PipelineExecutor implements StepExecutor {
  /** Experts on the CPU that share threads: some compute while others are between products. */
  private static final int SHARING = 3;

  private final TrainableModel model;
  private final PipelineOptions options;
  private final Backend backend;
  private final ExecutorService threads;
  private final ExecutorService pool;
  private final ExecutorService updates;
  private final SpanLog spans = new SpanLog();
  private final List<Arena> arenas = new ArrayList<>();
  private final List<PipelineDevice> training = new ArrayList<>();
  private final List<PipelineDevice> scoring = new ArrayList<>();
  private final int chunkTokens;
  private String failure = "";
  private Timeline timeline = new Timeline(List.of());
  private Optional<StepRouting> routing = Optional.empty();

  /**
   * Opens the devices.
   *
   * @param backend what the devices compute with
   * @param chunkTokens tokens of a micro-batch at most
   * @param length tokens of a sequence at most
   * @throws IllegalArgumentException if the plan is for another model, or two stages do not fit a
   *     device's memory, with the numbers
   */
  public PipelineExecutor(
      TrainableModel model, PipelineOptions options, Backend backend, int chunkTokens, int length) {
    this(model, options, backend, chunkTokens, length, (device, action) -> {});
  }

  PipelineExecutor(
      TrainableModel model,
      PipelineOptions options,
      Backend backend,
      int chunkTokens,
      int length,
      PipelineDevice.ActionProbe probe) {
    StagePlan plan = options.plan();
    if (plan.layers() != model.layers().size()) {
      throw new IllegalArgumentException(
          "Invalid stages for this model: %d layers, the model has %d"
              .formatted(plan.layers(), model.layers().size()));
    }

    this.model = model;
    this.options = options;
    this.backend = backend;
    this.chunkTokens = chunkTokens;
    List<Stage> stages = new ArrayList<>();
    for (int stage = 0; stage < plan.stages(); stage++) {
      stages.add(new Stage(model, plan.firstLayer(stage), plan.endLayer(stage)));
    }

    PipelineNeed.check(options, backend, stages, chunkTokens, length);
    backend.useThreads(options.cpuThreads());
    this.threads = Executors.newFixedThreadPool(plan.devices(), named("device"));
    this.pool =
        Executors.newFixedThreadPool(workers(backend, options.cpuThreads()), named("cpu-experts"));
    this.updates = Executors.newSingleThreadExecutor(named("updates"));
    for (int device = 0; device < plan.devices(); device++) {
      Arena arena = new Arena(options.deviceBytes());
      arenas.add(arena);
      training.add(
          new PipelineDevice(
              device, options, backend, stages, arena, pool, spans, options.chunks(), true, probe));
      scoring.add(
          new PipelineDevice(
              device, options, backend, stages, arena, pool, spans, 1, false, probe));
    }
  }

  /** Experts that the CPU computes at a time. */
  static int workers(Backend backend, int cpuThreads) {
    return backend.isThreaded() ? SHARING : cpuThreads;
  }

  private static ThreadFactory named(String name) {
    return work -> {
      Thread thread = new Thread(work, name);
      thread.setDaemon(true);
      return thread;
    };
  }

  @Override
  public double gradients(TokenBatch batch) throws InterruptedException {
    return step(batch, (parameters, isBeside) -> {});
  }

  @Override
  public double step(TokenBatch batch, Update update) throws InterruptedException {
    model.parameters().forEach(Parameter::clearGradient);
    Completion completion = new Completion(model, update, updates);
    double loss = run(training, batch.split(options.chunks()), batch.targets(), completion);
    completion.finish();
    timeline = spans.take();
    routing = Optional.of(spans.takeRouting());
    return loss;
  }

  @Override
  public double loss(TokenBatch batch) throws InterruptedException {
    double loss =
        run(
            scoring,
            List.of(batch),
            batch.targets(),
            new Completion(model, (parameters, isBeside) -> {}, updates));
    spans.take();
    spans.takeRouting();
    return loss;
  }

  private double run(
      List<PipelineDevice> devices, List<TokenBatch> parts, long targets, Completion completion)
      throws InterruptedException {
    if (!failure.isEmpty()) {
      throw new IllegalStateException("The pipeline has stopped: " + failure);
    }

    if (parts.get(0).tokens() > chunkTokens) {
      throw new IllegalArgumentException(
          "Invalid batch: micro-batches of %d tokens, the pipeline was opened for %d"
              .formatted(parts.get(0).tokens(), chunkTokens));
    }

    PipelineNetwork network = new PipelineNetwork(options.plan().stages());
    CompletionService<double[]> running = new ExecutorCompletionService<>(threads);
    for (PipelineDevice device : devices) {
      Callable<double[]> walk = () -> device.run(parts, targets, network, completion);
      running.submit(walk);
    }

    double[] losses = new double[parts.size()];
    try {
      for (int i = 0; i < devices.size(); i++) {
        double[] found = running.take().get();
        Arrays.setAll(losses, chunk -> losses[chunk] + found[chunk]); // others gave zeros
      }
    } catch (ExecutionException e) {
      failure = String.valueOf(e.getCause().getMessage());
      close();
      if (e.getCause() instanceof PipelineException stopped) {
        throw stopped;
      }

      throw new PipelineException("A device failed: " + failure, e.getCause());
    } catch (InterruptedException e) {
      failure = "interrupted";
      close();
      throw e;
    }

    double loss = 0;
    for (double part : losses) {
      loss += part;
    }

    return loss / targets;
  }

  @Override
  public boolean isInDoubles() {
    return backend.devices().get(0).numberBytes() == Double.BYTES;
  }

  @Override
  public Timeline timeline() {
    return timeline;
  }

  /** How it computes. */
  public PipelineOptions options() {
    return options;
  }

  @Override
  public Optional<StepRouting> routing() {
    return routing;
  }

  @Override
  public long peakBytes() {
    return backend.devices().stream().mapToLong(MatrixDevice::peakBytes).anyMatch(b -> b > 0)
        ? backend.devices().stream().mapToLong(MatrixDevice::peakBytes).max().orElse(0)
        : arenas.stream().mapToLong(Arena::peak).max().orElse(0);
  }

  /** Bytes of weights that were copied to devices so far. */
  public long loadedBytes() {
    return training.stream().mapToLong(PipelineDevice::loadedBytes).sum();
  }

  /** Bytes in use; between steps none. */
  long usedBytes() {
    return arenas.stream().mapToLong(Arena::used).sum();
  }

  /** Stops all threads. */
  @Override
  public void close() {
    threads.shutdownNow();
    pool.shutdownNow();
    updates.shutdownNow();
    training.forEach(PipelineDevice::close);
    scoring.forEach(PipelineDevice::close);
    try {
      threads.awaitTermination(1, TimeUnit.MINUTES);
      pool.awaitTermination(1, TimeUnit.MINUTES);
      updates.awaitTermination(1, TimeUnit.MINUTES);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
