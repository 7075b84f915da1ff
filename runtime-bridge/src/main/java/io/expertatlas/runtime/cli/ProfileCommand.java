package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.checkpoint.Checkpoint;
import io.expertatlas.runtime.json.LookupTableParser;
import io.expertatlas.runtime.model.Models;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.InitialWeights;
import io.expertatlas.runtime.train.LayerProfiler;
import io.expertatlas.runtime.train.MixtralTraining;
import io.expertatlas.runtime.train.ParameterMemory;
import io.expertatlas.runtime.train.PostNormConfig;
import io.expertatlas.runtime.train.PostNormModel;
import io.expertatlas.runtime.train.ProfileSettings;
import io.expertatlas.runtime.train.TrainableModel;
import io.expertatlas.trace.files.WrittenAside;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.function.Function;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Times the pieces of a layer's training on this machine. */
@Command(
    name = "profile",
    description =
        "Times the pieces of a layer's training on this machine, with the code that trains it, and"
            + " writes a lookup table for simulate --profile and the --costs of pipelines.",
    mixinStandardHelpOptions = true)
final class ProfileCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private final TrainingDevices devices = new TrainingDevices();

  @Option(
      names = "--preset",
      paramLabel = "P",
      description = "A layer of APTMoE's preset S, M or L, with random weights (default: S).")
  private String preset;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Instead of a preset: the first layer of a Mixtral checkpoint.")
  private Path model;

  @Option(
      names = "--experts",
      paramLabel = "E",
      description = "Experts of a preset's layer (default: 16).")
  private Integer experts;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "Experts of a preset's token (default: 2).")
  private Integer topK;

  @Option(
      names = "--vocabulary",
      paramLabel = "V",
      description = "Token ids of a preset (default: 1024).")
  private Integer vocabulary;

  @Option(
      names = "--batch",
      defaultValue = "128",
      paramLabel = "B",
      description = "Sequences of a step (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(
      names = "--micro-batches",
      defaultValue = "4",
      paramLabel = "M",
      description = "Parts of a step; one is profiled (default: ${DEFAULT-VALUE}).")
  private int microBatches;

  @Option(
      names = "--sequence-length",
      defaultValue = "128",
      paramLabel = "T",
      description = "Tokens of a sequence (default: ${DEFAULT-VALUE}).")
  private int length;

  @Option(
      names = "--cpu-threads",
      defaultValue = "1",
      paramLabel = "N",
      description =
          "Threads that compute an expert beside the device, as the pipeline will have them; in"
              + " float64 an expert has one (default: ${DEFAULT-VALUE}).")
  private int cpuThreads;

  @Option(
      names = "--memory",
      converter = ByteSize.Converter.class,
      paramLabel = "SIZE",
      description = "Memory of a GPU that may be used, as in 40GB; default: what is free.")
  private Long memory;

  @Option(
      names = "--samples",
      defaultValue = "20",
      paramLabel = "N",
      description =
          "Samples of each time, after a warm-up; medians count (default: ${DEFAULT-VALUE}).")
  private int samples;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "FILE",
      description = "The lookup table, JSON.")
  private Path output;

  @Option(names = "--json", description = "Print the table to stdout too.")
  private boolean json;

  /** What is profiled: its name, sizes, and how to make it where parameters are to lie. */
  private record Subject(
      String name, int topK, long parameters, Function<ParameterMemory, TrainableModel> model) {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Subject subject = subject();
    if (batch < 1 || microBatches < 1 || batch % microBatches != 0 || samples < 1) {
      throw usage(
          "Invalid options: --batch %d in --micro-batches %d must divide, --samples %d at least 1"
              .formatted(batch, microBatches, samples));
    }

    devices.checkHost(LayerProfiler.parameters(subject.parameters()), true);
    LookupTable table;
    try (devices) {
      Backend backend = devices.open(spec, 1, memory);
      ProfileSettings settings = settings(subject, backend);
      try (ProgressBar bar = Terminal.progress("profile", LayerProfiler.MEASUREMENTS)) {
        table =
            LayerProfiler.profile(
                subject.model().apply(devices.hostMemory()),
                backend,
                settings,
                what -> {
                  bar.step();
                  bar.setExtraMessage(" " + what);
                });
      }
    }

    String text = LookupTableParser.toJson(table);
    WrittenAside.file(output, file -> Files.writeString(file, text));
    print(table);
    if (json) {
      spec.commandLine().getOut().print(text);
      spec.commandLine().getOut().flush();
    }

    return 0;
  }

  private ParameterException usage(String wrong) {
    return new ParameterException(spec.commandLine(), wrong);
  }

  private Subject subject() throws IOException {
    if (model == null) {
      PostNormConfig config;
      try {
        config =
            PostNormConfig.preset(
                    preset == null ? "S" : preset,
                    experts == null ? 16 : experts,
                    topK == null ? 2 : topK,
                    vocabulary == null ? 1024 : vocabulary)
                .withLayers(1);
      } catch (IllegalArgumentException e) {
        throw new ParameterException(spec.commandLine(), e.getMessage(), e);
      }

      return new Subject(
          "%s-%d".formatted(preset == null ? "S" : preset, config.experts()),
          config.topK(),
          config.size(),
          memoryOf -> new PostNormModel(config, new InitialWeights(1), memoryOf));
    }

    if (preset != null || experts != null || topK != null || vocabulary != null) {
      throw usage(
          "Invalid options: --preset, --experts, --top-k and --vocabulary are of a preset, --model"
              + " has its own");
    }

    Checkpoint checkpoint = Checkpoint.open(model);
    if (!(checkpoint.config() instanceof MixtralConfig all)) {
      throw new IllegalArgumentException(
          "Cannot profile %s of %s: MixtralForCausalLM is built"
              .formatted(checkpoint.config().architecture(), model));
    }

    if (length > all.maxPositions()) {
      throw new IllegalArgumentException(
          "Invalid --sequence-length: %d, the model has %d positions"
              .formatted(length, all.maxPositions()));
    }

    MixtralConfig config = all.withLayers(1);
    return new Subject(
        "mixtral %s".formatted(model.getFileName()),
        config.topK(),
        Models.shapes(config).values().stream()
            .mapToLong(shape -> shape.stream().reduce(1L, Math::multiplyExact))
            .sum(),
        memoryOf -> new MixtralTraining(config, checkpoint, false, memoryOf));
  }

  private ProfileSettings settings(Subject subject, Backend backend) {
    try {
      return new ProfileSettings(
          subject.name(),
          "%s, %d processors; device %s; %s"
              .formatted(
                  HostMachine.processor(),
                  Runtime.getRuntime().availableProcessors(),
                  backend.devices().get(0).name(),
                  devices.words().get("precision")),
          cpuThreads,
          batch / microBatches,
          length,
          subject.topK(),
          samples);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private void print(LookupTable table) {
    PrintWriter err = spec.commandLine().getErr();
    int tokens = table.training().sizes().tokens();
    err.printf(
        "%s on %s%n"
            + "  an expert: loaded in %.3f ms, %d tokens on the device in %.3f + %.3f ms, beside it"
            + " in %.3f + %.3f ms%n"
            + "  attention and gate: loaded in %.3f ms, %d tokens in %.3f + %.3f ms; optimizer"
            + " %.3f ns a parameter%n  gradients of an expert to the host in %.3f ms; %s%n",
        table.name(),
        table.machine().description(),
        table.loadExpertNanos() / 1e6,
        tokens,
        millis(table, LookupTable.Curve.GPU_FORWARD, tokens),
        millis(table, LookupTable.Curve.GPU_BACKWARD, tokens),
        millis(table, LookupTable.Curve.CPU_FORWARD, tokens),
        millis(table, LookupTable.Curve.CPU_BACKWARD, tokens),
        (table.loadAttentionNanos() + table.loadGateNanos(table.training().sizes().experts()))
            / 1e6,
        tokens,
        millis(table, LookupTable.Curve.ATTENTION_FORWARD, tokens),
        millis(table, LookupTable.Curve.ATTENTION_BACKWARD, tokens),
        table.training().optimizerNanos(),
        table.training().nanos(Piece.STORE_EXPERT) / 1e6,
        output);
    err.flush();
  }

  private static double millis(LookupTable table, LookupTable.Curve curve, int tokens) {
    return table.monotone(curve).orElseThrow().nanos(tokens) / 1e6;
  }
}
