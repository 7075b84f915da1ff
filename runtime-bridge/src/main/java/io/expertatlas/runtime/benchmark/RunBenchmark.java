package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.model.Foretelling;
import io.expertatlas.runtime.model.Generation;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.Model;
import io.expertatlas.runtime.model.RecordedRoutes;
import io.expertatlas.runtime.model.Sampler;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * Measures a loaded model: greedy, random prompts, no end of sequences. Several ways to foretell
 * experts and to share them with the CPU are measured in turns, round by round.
 */
public final class RunBenchmark {
  private final Model model;
  private final Settings settings;
  private final StepBytes bytes;
  private final RecordedRoutes routes;
  private final List<Way> ways;
  private final Optional<Device> cpu;
  private final boolean isForetold;
  private final Generation decode;
  private final Generation prefill;

  /**
   * Plans the measurements.
   *
   * @param limits at least those of the settings
   * @param bytes observes the model
   * @param routes observes the model; is filled by a run of its own before each measurement
   * @param ways to compare
   * @param cpu computes experts, if one of the ways says so
   */
  public RunBenchmark(
      Model model,
      Limits limits,
      Settings settings,
      StepBytes bytes,
      RecordedRoutes routes,
      List<Way> ways,
      Optional<Device> cpu) {
    this.model = model;
    this.settings = settings;
    this.bytes = bytes;
    this.routes = routes;
    this.ways = List.copyOf(ways);
    this.cpu = cpu;
    this.isForetold = ways.stream().anyMatch(way -> way.foretelling() != Foretelling.NONE);
    routes.end();
    this.decode =
        new Generation(model, limits, Sampler.GREEDY, settings.steps() + 1, false, tokens -> {});
    this.prefill = new Generation(model, limits, Sampler.GREEDY, 1, false, tokens -> {});
  }

  /** What is measured, of a way in a round; round -1 is not measured. */
  @FunctionalInterface
  private interface Round {
    void run(int way, int round);
  }

  private void begin(Way way) {
    if (isForetold) {
      model.foretell(way.foretelling());
    }

    cpu.ifPresent(one -> model.computeOnHost(one, way.rule()));
  }

  private void rounds(Generation generation, List<int[]> prompts, Round work) {
    if (isForetold) {
      routes.begin();
      generation.run(prompts);
      routes.end();
    }

    for (int round = -1; round < settings.rounds(); round++) {
      for (int w = 0; w < ways.size(); w++) {
        begin(ways.get(w));
        generation.restartClocks();
        work.run(w, round);
      }
    }

    begin(Way.PLAIN);
  }

  /** Decode of a batch, each sequence behind its context; by way. */
  public List<Measurement.Decode> decode(int batch) {
    List<int[]> prompts = prompts(batch, settings.context());
    double[][] rates = new double[ways.size()][settings.rounds()];
    Measurement.Decode[] found = new Measurement.Decode[rates.length];
    long[] prefilled = movedByPrefill(prompts);
    rounds(
        decode,
        prompts,
        (w, round) -> {
          bytes.reset();
          long moved = -model.moved().total() - prefilled[0];
          long context = -model.context().total() - prefilled[1];
          decode.run(prompts);
          moved += model.moved().total();
          context += model.context().total();
          if (round >= 0) {
            rates[w][round] = decode.decodeTokensPerSecond();
          }

          found[w] =
              new Measurement.Decode(
                  batch,
                  Times.median(rates[w]), // of all, after the last round
                  bytes.perStep(),
                  (double) moved * model.vectorBytes() / settings.steps(),
                  (double) context * model.contextVectorBytes() / settings.steps(),
                  decode.decodeOffloaded());
        });
    return List.of(found);
  }

  /** Vectors that the prefill of prompts moves: experts', context's. */
  private long[] movedByPrefill(List<int[]> prompts) {
    long moved = model.moved().total();
    long context = model.context().total();
    prefill.run(prompts);
    return new long[] {model.moved().total() - moved, model.context().total() - context};
  }

  /** Prefill of all prompts in one step; by way. */
  public List<Measurement.Prefill> prefill() {
    List<int[]> prompts = prompts(settings.prompts(), settings.length());
    double[][] rates = new double[ways.size()][settings.rounds()];
    long[][] moved = new long[rates.length][];
    rounds(
        prefill,
        prompts,
        (w, round) -> {
          moved[w] = movedByPrefill(prompts);
          if (round >= 0) {
            rates[w][round] = prefill.prefillTokensPerSecond();
          }
        });
    List<Measurement.Prefill> found = new ArrayList<>();
    for (int w = 0; w < rates.length; w++) {
      found.add(
          new Measurement.Prefill(
              settings.prompts() * settings.length(),
              Times.median(rates[w]),
              (double) moved[w][0] * model.vectorBytes(),
              (double) moved[w][1] * model.contextVectorBytes()));
    }

    return found;
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
