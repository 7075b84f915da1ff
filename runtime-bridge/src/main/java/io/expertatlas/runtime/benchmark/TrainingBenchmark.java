package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.train.AdamW;
import io.expertatlas.runtime.train.PipelineExecutor;
import io.expertatlas.runtime.train.TokenBatch;
import io.expertatlas.runtime.train.TrainableModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Times steps of a training on random tokens: gradients by one pipeline after the other, round by
 * round, each followed by the optimizer's step on the host.
 */
public final class TrainingBenchmark {
  private static final AdamW OPTIMIZER = new AdamW(0.9, 0.999, 1e-8, 0.01);
  private static final double RATE = 1e-6; // routing stays as it was

  private TrainingBenchmark() {}

  /** Opens a pipeline; several are open, one computes at a time. */
  @FunctionalInterface
  public interface Opening {
    /** An executor, which the benchmark closes. */
    PipelineExecutor open(String pipeline) throws InterruptedException;
  }

  /**
   * What a pipeline took, each value a median over rounds.
   *
   * @param pipeline which
   * @param gradientSeconds forward and backward, all gradients on the host; with the optimizer if
   *     it runs beside them
   * @param optimizerSeconds AdamW on the host
   * @param stepSeconds of all steps, round by round
   * @param loadedBytes of weights a step
   * @param loadSeconds that copies took, of all devices
   * @param cpuExperts computed by the CPU in a step, each pass of a chunk
   * @param cpuSeconds that these took
   * @param peakBytes of the fullest device
   * @param skew of the last step: the mean over layers of the sum of squared shares of experts
   * @param loss of the last step
   * @param routing of all steps, the one that is not measured first
   */
  public record Result(
      String pipeline,
      double gradientSeconds,
      double optimizerSeconds,
      List<Double> stepSeconds,
      long loadedBytes,
      double loadSeconds,
      double cpuExperts,
      double cpuSeconds,
      long peakBytes,
      double skew,
      double loss,
      List<StepRouting> routing) {
    /** Copies the lists. */
    public Result {
      stepSeconds = List.copyOf(stepSeconds);
      routing = List.copyOf(routing);
    }

    /** Median seconds of a step. */
    public double seconds() {
      return median(stepSeconds);
    }
  }

  /**
   * Runs.
   *
   * @param rounds that are measured, after one that is not
   * @param sequences of a step
   * @param length of each
   * @param overlaps whether the optimizer moves parameters while gradients of others are computed
   * @param progress is told of each step
   * @throws InterruptedException if the thread is interrupted
   */
  public static List<Result> run(
      TrainableModel model,
      List<String> pipelines,
      Opening opening,
      int rounds,
      int sequences,
      int length,
      long seed,
      boolean overlaps,
      Runnable progress)
      throws InterruptedException {
    Map<String, PipelineExecutor> executors = new LinkedHashMap<>();
    try {
      for (String pipeline : pipelines) {
        executors.put(pipeline, opening.open(pipeline));
      }

      Map<String, List<Sample>> samples = new LinkedHashMap<>();
      Map<String, List<StepRouting>> routing = new LinkedHashMap<>();
      int step = 0;
      for (int round = -1; round < rounds; round++) {
        for (String pipeline : pipelines) {
          TokenBatch batch = batch(model.vocabulary(), sequences, length, seed + round);
          Sample sample = sample(model, executors.get(pipeline), batch, ++step, overlaps);
          progress.run();
          routing
              .computeIfAbsent(pipeline, p -> new ArrayList<>())
              .add(executors.get(pipeline).routing().orElseThrow());
          if (round >= 0) {
            samples.computeIfAbsent(pipeline, p -> new ArrayList<>()).add(sample);
          }
        }
      }

      return samples.entrySet().stream()
          .map(one -> result(one.getKey(), one.getValue(), routing.get(one.getKey())))
          .toList();
    } finally {
      executors.values().forEach(PipelineExecutor::close);
    }
  }

  private record Sample(
      double gradient,
      double optimizer,
      double step,
      long loaded,
      double load,
      double experts,
      double cpu,
      long peak,
      double skew,
      double loss) {}

  private static Sample sample(
      TrainableModel model, PipelineExecutor executor, TokenBatch batch, int step, boolean overlaps)
      throws InterruptedException {
    long loaded = executor.loadedBytes();
    boolean inDoubles = executor.isInDoubles();
    AtomicLong updating = new AtomicLong();
    long begin = System.nanoTime();
    double loss =
        overlaps
            ? executor.step(
                batch,
                (parameters, isBeside) -> {
                  long from = System.nanoTime();
                  OPTIMIZER.step(parameters, RATE, step, inDoubles, isBeside);
                  updating.addAndGet(System.nanoTime() - from);
                })
            : executor.gradients(batch);
    long middle = System.nanoTime();
    if (!overlaps) {
      OPTIMIZER.step(model.parameters(), RATE, step, inDoubles);
      updating.set(System.nanoTime() - middle);
    }

    long end = System.nanoTime();
    List<Span> spans = executor.timeline().spans();
    return new Sample(
        (middle - begin) / 1e9,
        updating.get() / 1e9,
        (end - begin) / 1e9,
        executor.loadedBytes() - loaded,
        seconds(spans, "load"),
        spans.stream().filter(span -> span.stream().equals("cpu")).count(),
        seconds(spans, "cpu"),
        executor.peakBytes(),
        executor.routing().orElseThrow().concentration(),
        loss);
  }

  private static double seconds(List<Span> spans, String stream) {
    return spans.stream()
            .filter(span -> span.stream().equals(stream))
            .mapToLong(span -> span.endNanos() - span.beginNanos())
            .sum()
        / 1e9;
  }

  private static Result result(String pipeline, List<Sample> samples, List<StepRouting> routing) {
    return new Result(
        pipeline,
        median(samples.stream().map(Sample::gradient).toList()),
        median(samples.stream().map(Sample::optimizer).toList()),
        samples.stream().map(Sample::step).toList(),
        (long) median(samples.stream().map(one -> (double) one.loaded()).toList()),
        median(samples.stream().map(Sample::load).toList()),
        median(samples.stream().map(Sample::experts).toList()),
        median(samples.stream().map(Sample::cpu).toList()),
        samples.stream().mapToLong(Sample::peak).max().orElse(0),
        samples.get(samples.size() - 1).skew(),
        samples.get(samples.size() - 1).loss(),
        routing);
  }

  private static double median(List<Double> values) {
    return Times.median(values.stream().mapToDouble(value -> value).toArray());
  }

  private static TokenBatch batch(int vocabulary, int sequences, int length, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[][] rows = new int[sequences][length];
    for (int[] row : rows) {
      Arrays.setAll(row, i -> random.nextInt(vocabulary));
    }

    return new TokenBatch(List.of(rows));
  }
}
