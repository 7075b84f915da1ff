package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.finetune.TrainingSettings;
import io.expertatlas.runtime.json.LookupTableParser;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.TableCosts;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.MeasuredCosts;
import io.expertatlas.runtime.train.PipelineExecutor;
import io.expertatlas.runtime.train.PipelineOptions;
import io.expertatlas.runtime.train.PlainExecutor;
import io.expertatlas.runtime.train.StepExecutor;
import io.expertatlas.runtime.train.TrainableModel;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** How a training is computed; its result does not depend on it. A picocli {@code @Mixin}. */
final class PipelineMixin {
  private static final String NONE = "none";

  @Option(
      names = "--pipeline",
      defaultValue = NONE,
      paramLabel = "P",
      description =
          "none (one device holds all), gpipe, gpipe-offload, mobius or aptmoe (default:"
              + " ${DEFAULT-VALUE}).")
  private String pipeline;

  @Option(
      names = "--devices",
      defaultValue = "1",
      paramLabel = "G",
      description = "Logical devices of the pipeline, a thread each (default: ${DEFAULT-VALUE}).")
  private int devices;

  @Option(
      names = "--stages",
      defaultValue = "0",
      paramLabel = "S",
      description =
          "Stages of equally many layers, a multiple of the devices; default: as many as devices"
              + " with gpipe, else one a layer.")
  private int stages;

  @Option(
      names = "--policy",
      defaultValue = "equation-1",
      converter = PolicyConverter.class,
      paramLabel = "P",
      description =
          "Which experts aptmoe copies to a device: equation-1, min-max, critical-path,"
              + " artifact, random-half"
              + " (default: ${DEFAULT-VALUE}).")
  private AffinityPolicy policy;

  @Option(
      names = "--memory",
      converter = ByteSize.Converter.class,
      paramLabel = "SIZE",
      description =
          "Memory of each device, as in 512MB: copies, gradients and activations of a micro-batch"
              + " stay below it; default: no bound.")
  private Long memory;

  @Option(
      names = "--cpu-threads",
      defaultValue = "1",
      paramLabel = "N",
      description =
          "Threads that compute experts beside the devices, with aptmoe (default:"
              + " ${DEFAULT-VALUE}).")
  private int cpuThreads;

  @Option(
      names = "--costs",
      paramLabel = "FILE",
      description =
          "A table of 'atlas profile' on this machine, of the same layer and batch: aptmoe weighs"
              + " its numbers; default: a short measurement at the start.")
  private Path costs;

  /**
   * The table of {@code --costs}, if any.
   *
   * @param tokens of a micro-batch
   * @param length tokens of a sequence
   * @throws IllegalArgumentException if it is of another layer or batch, with both
   * @throws IOException if it cannot be read
   */
  Optional<LookupTable> table(
      int hidden, int inner, int experts, int topK, int vocabulary, int tokens, int length)
      throws IOException {
    if (costs == null) {
      return Optional.empty();
    }

    LookupTable table = LookupTableParser.read(costs);
    TrainingProfile.Sizes sizes = table.training().sizes();
    int[] found = {
      table.shape().dim(),
      table.shape().hidden(),
      sizes.experts(),
      sizes.topK(),
      sizes.vocabulary(),
      sizes.tokens(),
      sizes.sequenceLength()
    };
    int[] asked = {hidden, inner, experts, topK, vocabulary, tokens, length};
    if (!Arrays.equals(found, asked)) {
      throw new IllegalArgumentException(
          ("Invalid --costs: %s is of another layer or batch: hidden size, inner size, experts,"
                  + " top-k, vocabulary, tokens of a micro-batch, sequence length %s, asked for %s")
              .formatted(costs, Arrays.toString(found), Arrays.toString(asked)));
    }

    return Optional.of(table);
  }

  /** Devices of the pipeline; 1 without one. */
  int devices() {
    return devices;
  }

  /** Bytes of each device, null: no bound. */
  Long memory() {
    return memory;
  }

  /** Whether there is a pipeline. */
  boolean isThere() {
    return !pipeline.equals(NONE);
  }

  /** For picocli. */
  private static final class PolicyConverter implements ITypeConverter<AffinityPolicy> {
    @Override
    public AffinityPolicy convert(String value) {
      return Terminal.option(() -> AffinityPolicy.ofWord(value));
    }
  }

  /**
   * The stages.
   *
   * @throws ParameterException if options contradict each other or the model
   */
  private StagePlan plan(CommandSpec spec, String name, int layers) {
    try {
      PipelineKind kind = PipelineKind.ofWord(name);
      int count = stages > 0 ? stages : kind == PipelineKind.GPIPE ? devices : layers;
      return StagePlan.equal(kind, devices, layers, count);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  /**
   * Opens what computes.
   *
   * @param table what aptmoe weighs; empty: it is measured
   * @param backend what a pipeline computes with, to be closed by its owner
   * @throws ParameterException if options contradict each other or the model
   * @throws IllegalArgumentException if it does not fit the memory, with the numbers
   */
  StepExecutor open(
      CommandSpec spec,
      TrainableModel model,
      TrainingSettings settings,
      Optional<LookupTable> table,
      Backend backend)
      throws InterruptedException {
    if (devices < 1 || stages < 0 || cpuThreads < 1) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid pipeline: --devices %d and --cpu-threads %d at least 1, --stages %d at least 0"
              .formatted(devices, cpuThreads, stages));
    }

    if (!isThere()) {
      if (devices > 1 || stages > 0 || memory != null || costs != null) {
        throw new ParameterException(
            spec.commandLine(),
            "Invalid options: --devices, --stages, --memory and --costs are of a --pipeline");
      }

      if (backend.devices().get(0).numberBytes() != Double.BYTES) {
        throw new ParameterException(
            spec.commandLine(), "Invalid options: --precision float32 takes a --pipeline");
      }

      return new PlainExecutor(model, settings.microBatches());
    }

    return open(
        spec,
        pipeline,
        model,
        settings.microBatches(),
        settings.batch() / settings.microBatches(),
        settings.sequenceLength(),
        settings.seed(),
        costs(table, model, backend),
        backend);
  }

  /** What aptmoe weighs: numbers of a table, or without one measured now. */
  ExpertCosts costs(Optional<LookupTable> table, TrainableModel model, Backend backend)
      throws InterruptedException {
    return table.isPresent()
        ? new TableCosts(table.get(), backend.recomputes())
        : MeasuredCosts.of(model, backend, cpuThreads);
  }

  /**
   * Opens a pipeline of a name, whatever {@code --pipeline} says.
   *
   * @param sequences of a micro-batch
   * @param length tokens of a sequence
   * @see #open(CommandSpec, TrainableModel, TrainingSettings, Optional, Backend)
   */
  PipelineExecutor open(
      CommandSpec spec,
      String name,
      TrainableModel model,
      int microBatches,
      int sequences,
      int length,
      long seed,
      ExpertCosts costs,
      Backend backend) {
    PipelineOptions options =
        new PipelineOptions(
            plan(spec, name, model.layers().size()),
            microBatches,
            policy,
            costs,
            TrainingDevices.planned(backend, memory),
            cpuThreads,
            seed);
    return new PipelineExecutor(model, options, backend, sequences * length, length);
  }

  /** The options by name, for reports. */
  Map<String, String> words() {
    Map<String, String> words = new LinkedHashMap<>();
    words.put("pipeline", pipeline);
    words.put("devices", Integer.toString(devices));
    if (isThere()) {
      words.put("stages", stages == 0 ? "default" : Integer.toString(stages));
      words.put("policy", policy.word());
      words.put("memory", memory == null ? "no bound" : memory.toString());
      words.put("cpu-threads", Integer.toString(cpuThreads));
    }

    return words;
  }
}
