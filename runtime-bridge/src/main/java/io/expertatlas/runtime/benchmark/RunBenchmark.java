package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.model.Generation;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.Model;
import io.expertatlas.runtime.model.Sampler;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Measures a loaded model: greedy, random prompts, no end of sequences. */
public final class RunBenchmark {
  private final Model model;
  private final Settings settings;
  private final StepBytes bytes;
  private final Generation decode;
  private final Generation prefill;

  /**
   * Plans the measurements.
   *
   * @param limits at least those of the settings
   * @param bytes observes the model
   */
  public RunBenchmark(Model model, Limits limits, Settings settings, StepBytes bytes) {
    this.model = model;
    this.settings = settings;
    this.bytes = bytes;
    this.decode =
        new Generation(model, limits, Sampler.GREEDY, settings.steps() + 1, false, tokens -> {});
    this.prefill = new Generation(model, limits, Sampler.GREEDY, 1, false, tokens -> {});
  }

  /** Decode of a batch, each sequence behind its context. */
  public Measurement.Decode decode(int batch) {
    List<int[]> prompts = prompts(batch, settings.context());
    double[] rates = new double[settings.rounds()];
    long moved = 0;
    long context = 0;
    Offload.Use offloaded = Offload.Use.NONE;
    long[] prefilled = movedByPrefill(prompts);
    for (int round = -1; round < rates.length; round++) {
      decode.restartClocks();
      bytes.reset();
      moved = -model.moved().total() - prefilled[0];
      context = -model.context().total() - prefilled[1];
      Offload.Use before = model.offloaded();
      decode.run(prompts);
      offloaded = model.offloaded().minus(before);
      moved += model.moved().total();
      context += model.context().total();
      if (round >= 0) {
        rates[round] = decode.decodeTokensPerSecond();
      }
    }

    return new Measurement.Decode(
        batch,
        Times.median(rates),
        bytes.perStep(),
        (double) moved * model.vectorBytes() / settings.steps(),
        (double) context * model.contextVectorBytes() / settings.steps(),
        offloaded);
  }

  /** Vectors that the prefill of prompts moves: experts', context's. */
  private long[] movedByPrefill(List<int[]> prompts) {
    long moved = model.moved().total();
    long context = model.context().total();
    prefill.run(prompts);
    return new long[] {model.moved().total() - moved, model.context().total() - context};
  }

  /** Prefill of all prompts in one step. */
  public Measurement.Prefill prefill() {
    List<int[]> prompts = prompts(settings.prompts(), settings.length());
    double[] rates = new double[settings.rounds()];
    long[] moved = {};
    for (int round = -1; round < rates.length; round++) {
      prefill.restartClocks();
      moved = movedByPrefill(prompts);
      if (round >= 0) {
        rates[round] = prefill.prefillTokensPerSecond();
      }
    }

    return new Measurement.Prefill(
        settings.prompts() * settings.length(),
        Times.median(rates),
        (double) moved[0] * model.vectorBytes(),
        (double) moved[1] * model.contextVectorBytes());
  }

  private List<int[]> prompts(int count, int length) {
    SplittableRandom random = new SplittableRandom(settings.seed());
    List<int[]> prompts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      prompts.add(random.ints(length, 0, model.config().vocabulary()).toArray());
    }

    return prompts;
  }
}
