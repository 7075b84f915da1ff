package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.model.Foretelling;
import io.expertatlas.runtime.model.Generation;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.Model;
import io.expertatlas.runtime.model.RecordedRoutes;
import io.expertatlas.runtime.model.Sampler;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Measures a loaded model: greedy, random prompts, no end of sequences. Several ways to foretell
 * experts are measured in turns, round by round.
 */
public final class RunBenchmark {
  private final Model model;
  private final Settings settings;
  private final StepBytes bytes;
  private final RecordedRoutes routes;
  private final List<Foretelling> foretellings;
  private final boolean isForetold;
  private final Generation decode;
  private final Generation prefill;

  /**
   * Plans the measurements.
   *
   * @param limits at least those of the settings
   * @param bytes observes the model
   * @param routes observes the model; is filled by a run of its own before each measurement
   * @param foretellings to compare
   */
  public RunBenchmark(
      Model model,
      Limits limits,
      Settings settings,
      StepBytes bytes,
      RecordedRoutes routes,
      List<Foretelling> foretellings) {
    this.model = model;
    this.settings = settings;
    this.bytes = bytes;
    this.routes = routes;
    this.foretellings = List.copyOf(foretellings);
    this.isForetold = foretellings.stream().anyMatch(by -> by != Foretelling.NONE);
    routes.end();
    this.decode =
        new Generation(model, limits, Sampler.GREEDY, settings.steps() + 1, false, tokens -> {});
    this.prefill = new Generation(model, limits, Sampler.GREEDY, 1, false, tokens -> {});
  }

  /** What is measured, of a way to foretell in a round; round -1 is not measured. */
  @FunctionalInterface
  private interface Round {
    void run(int foretelling, int round);
  }

  private void rounds(Generation generation, List<int[]> prompts, Round work) {
    if (isForetold) {
      routes.begin();
      generation.run(prompts);
      routes.end();
    }

    for (int round = -1; round < settings.rounds(); round++) {
      for (int f = 0; f < foretellings.size(); f++) {
        if (isForetold) {
          model.foretell(foretellings.get(f));
        }

        generation.restartClocks();
        work.run(f, round);
      }
    }

    if (isForetold) {
      model.foretell(Foretelling.NONE);
    }
  }

  /** Decode of a batch, each sequence behind its context; by way to foretell. */
  public List<Measurement.Decode> decode(int batch) {
    List<int[]> prompts = prompts(batch, settings.context());
    double[][] rates = new double[foretellings.size()][settings.rounds()];
    Measurement.Decode[] found = new Measurement.Decode[rates.length];
    long[] prefilled = movedByPrefill(prompts);
    rounds(
        decode,
        prompts,
        (f, round) -> {
          bytes.reset();
          long moved = -model.moved().total() - prefilled[0];
          long context = -model.context().total() - prefilled[1];
          decode.run(prompts);
          moved += model.moved().total();
          context += model.context().total();
          if (round >= 0) {
            rates[f][round] = decode.decodeTokensPerSecond();
          }

          found[f] =
              new Measurement.Decode(
                  batch,
                  Times.median(rates[f]), // of all, after the last round
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

  /** Prefill of all prompts in one step; by way to foretell. */
  public List<Measurement.Prefill> prefill() {
    List<int[]> prompts = prompts(settings.prompts(), settings.length());
    double[][] rates = new double[foretellings.size()][settings.rounds()];
    long[][] moved = new long[rates.length][];
    rounds(
        prefill,
        prompts,
        (f, round) -> {
          moved[f] = movedByPrefill(prompts);
          if (round >= 0) {
            rates[f][round] = prefill.prefillTokensPerSecond();
          }
        });
    List<Measurement.Prefill> found = new ArrayList<>();
    for (int f = 0; f < rates.length; f++) {
      found.add(
          new Measurement.Prefill(
              settings.prompts() * settings.length(),
              Times.median(rates[f]),
              (double) moved[f][0] * model.vectorBytes(),
              (double) moved[f][1] * model.contextVectorBytes()));
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
