package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.checkpoint.Checkpoint;
import io.expertatlas.runtime.model.Models;
import io.expertatlas.runtime.synthetic.NamedShapes;
import io.expertatlas.runtime.synthetic.RandomWeights;
import java.io.IOException;
import java.nio.file.Path;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The options that name a model: a picocli {@code @Mixin}. */
final class ModelOptions {
  @ArgGroup(multiplicity = "1")
  private Choice choice;

  @Option(
      names = "--gini",
      paramLabel = "G",
      description =
          "With --random-weights: inequality of the experts' popularity, 0 for none (default: 0).")
  private Double gini;

  @Option(
      names = "--popularity-trace",
      paramLabel = "T",
      description =
          "With --random-weights, in place of --gini: each layer's experts are as popular as in"
              + " this trace (dataset, capture folder or raw file) of a model with as many"
              + " experts.")
  private Path popularityTrace;

  /** One of the two. */
  private static final class Choice {
    @Option(
        names = "--model",
        paramLabel = "DIR",
        description = "Checkpoint in Hugging Face's layout: Mixtral or NLLB-MoE.")
    private Path model;

    @Option(
        names = "--random-weights",
        paramLabel = "SHAPE",
        description =
            "Random weights, by --seed, of a known shape: mixtral-8x7b, mixtral-8x22b,"
                + " mixtral-8x7b-layer (one layer of it), mixtral-8x100m, mixtral-tiny.")
    private String randomWeights;
  }

  /** A model before it is loaded. */
  record Loadable(ModelConfig config, WeightSource weights) {}

  /**
   * Opens the checkpoint and checks its tensors, or plans random ones.
   *
   * @throws ParameterException if there is no such shape, or the popularity is impossible
   */
  Loadable open(CommandSpec spec, long seed) throws IOException {
    check(spec);
    if (choice.model != null) {
      Checkpoint checkpoint = Checkpoint.open(choice.model);
      checkpoint.check(Models.shapes(checkpoint.config()), Models.optional(checkpoint.config()));
      return new Loadable(checkpoint.config(), checkpoint);
    }

    try {
      MixtralConfig config = NamedShapes.find(choice.randomWeights);
      return new Loadable(config, new RandomWeights(config, popularity(spec, config, seed), seed));
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private void check(CommandSpec spec) {
    if (choice.model != null && (gini != null || popularityTrace != null)) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid %s: %s has weights of its own. Maybe use --random-weights"
              .formatted(gini == null ? "--popularity-trace" : "--gini", choice.model));
    }

    if (gini != null && popularityTrace != null) {
      throw new ParameterException(
          spec.commandLine(), "Invalid --gini and --popularity-trace: only one of them");
    }
  }

  /** Share of each expert, {@code [layer][expert]}. */
  private double[][] popularity(CommandSpec spec, MixtralConfig config, long seed) {
    if (popularityTrace == null) {
      return RandomWeights.popularity(config, gini == null ? 0 : gini, seed);
    }

    long[][] choices = PopularityTrace.choices(popularityTrace, config.experts());
    if (choices.length != config.layers()) {
      spec.commandLine()
          .getErr()
          .printf(
              "%s has %d MoE layers, %s has %d: each takes the popularity of the layer at its place"
                  + " in the trace, layer l that of floor(l * %d / %d)%n",
              popularityTrace,
              choices.length,
              choice.randomWeights,
              config.layers(),
              choices.length,
              config.layers());
      spec.commandLine().getErr().flush();
    }

    return RandomWeights.popularity(config, choices);
  }

  /** The folder of the checkpoint; of random weights, one that does not exist. */
  Path folder() {
    return choice.model == null ? Path.of("random-weights", choice.randomWeights) : choice.model;
  }

  @Override
  public String toString() {
    return choice.model == null ? choice.randomWeights : choice.model.toString();
  }
}
