package io.expertatlas.runtime.cli;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.RunResult;
import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.json.ChromeTrace;
import io.expertatlas.runtime.json.RunJson;
import io.expertatlas.runtime.model.CpuRule;
import io.expertatlas.runtime.model.Foretelling;
import io.expertatlas.runtime.model.Generation;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.Model;
import io.expertatlas.runtime.model.Models;
import io.expertatlas.runtime.model.Sampler;
import io.expertatlas.runtime.tokenizer.TextCodec;
import io.expertatlas.trace.files.WrittenAside;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Generates with a model whose experts live where a placement says. */
@Command(
    name = "run",
    description = "Runs a model under a placement: generates, counts traffic, records routes.",
    mixinStandardHelpOptions = true)
final class RunCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private PromptOptions prompts;

  @Mixin private ModelOptions model;

  @Mixin private DeviceOptions device;

  @Option(
      names = "--predictor",
      defaultValue = "none",
      paramLabel = "P",
      description =
          "With --offload: what foretells the next layer's experts, which are then fetched ahead:"
              + " none, popularity (chosen most so far), next-gate (the next layer's gate on this"
              + " layer's input), oracle (what --routes holds), or the folder of a predictor of"
              + " train-predictor (default: ${DEFAULT-VALUE}).")
  private String predictor;

  @Option(
      names = "--routes",
      paramLabel = "T",
      description = "With --predictor oracle: an earlier run of the same prompts, of --record.")
  private Path routes;

  @Option(
      names = "--cpu-experts",
      defaultValue = "none",
      paramLabel = "R",
      description =
          "With --offload: which experts that are missing on the device the CPU computes: none, or"
              + " min-max (those of fewest rows, as many as make the layer end soonest) (default:"
              + " ${DEFAULT-VALUE}).")
  private String cpuExperts;

  @Option(
      names = "--placement",
      defaultValue = "vanilla",
      paramLabel = "P",
      description =
          "placement.json, a folder with one, ExFlow's csv, or vanilla: contiguous blocks"
              + " (default: ${DEFAULT-VALUE}).")
  private String placement;

  @Option(
      names = "--ranks",
      defaultValue = "0",
      paramLabel = "R",
      description = "Ranks to run on; default: as the placement says, else 1.")
  private int ranks;

  @Option(
      names = "--mode",
      defaultValue = "home",
      paramLabel = "M",
      description =
          "How tokens meet experts of other ranks: ${COMPLETION-CANDIDATES} (default:"
              + " ${DEFAULT-VALUE}).")
  private ParallelMode mode;

  @Option(
      names = "--max-new-tokens",
      defaultValue = "32",
      paramLabel = "N",
      description = "New tokens of each sequence at most (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens;

  @Option(names = "--ignore-eos", description = "Go on after the token that ends a sequence.")
  private boolean ignoresEnd;

  @Option(
      names = "--temperature",
      defaultValue = "0",
      paramLabel = "T",
      description = "0: always the likeliest token (default); else sample.")
  private float temperature;

  @Option(
      names = "--top-p",
      defaultValue = "1",
      paramLabel = "P",
      description = "Sample from the likeliest tokens that reach this probability (default: 1).")
  private float topP;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Seed of samples (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--batch-size",
      defaultValue = "64",
      paramLabel = "N",
      description =
          "Sequences that run together, rounded up to a multiple of the ranks (default:"
              + " ${DEFAULT-VALUE}).")
  private int batchSize;

  @Option(
      names = "--prefill-tokens",
      defaultValue = "2048",
      paramLabel = "N",
      description = "Tokens of a prefill step at most (default: ${DEFAULT-VALUE}).")
  private int prefillTokens;

  @Mixin private RecordOptions recording;

  @Option(
      names = "--timeline",
      paramLabel = "FILE",
      description = "Write what ran when, for chrome://tracing or ui.perfetto.dev.")
  private Path timeline;

  @Option(names = "--json", description = "Print one JSON object to stdout instead of the texts.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    checkOptions();
    ModelOptions.Loadable loadable = model.open(spec, seed);
    ModelConfig config = loadable.config();
    ExecutionPlan plan =
        new ExecutionPlan(
            config.shape(), PlacementOption.read(placement, config.shape(), ranks), mode);
    recording.check(config);
    Optional<TextCodec> codec = codec(config);
    try {
      List<int[]> ids = prompts.read(codec, config, seed);
      run(loadable, plan, codec, ids);
    } finally {
      codec.ifPresent(TextCodec::close);
    }

    return 0;
  }

  private void checkOptions() {
    prompts.check(spec);
    atLeast("--ranks", ranks, 0);
    device.check(spec);
    prefetch().check(spec, device);
    onCpu().check(spec, device, prefetch().isOracle());
    if (prefetch().isOracle() != (routes != null)) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid --routes: with --predictor oracle, and only with it, a recording is needed");
    }

    atLeast("--max-new-tokens", maxNewTokens, 1);
    atLeast("--batch-size", batchSize, 1);
    atLeast("--prefill-tokens", prefillTokens, 1);
    try {
      sampler();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private Prefetch prefetch() {
    return new Prefetch(predictor);
  }

  private CpuExperts onCpu() {
    return new CpuExperts(cpuExperts);
  }

  private void atLeast(String option, int value, int least) {
    if (value < least) {
      throw new ParameterException(
          spec.commandLine(), "Invalid %s: %d, at least %d".formatted(option, value, least));
    }
  }

  private Sampler sampler() {
    return new Sampler(temperature, topP, seed);
  }

  private Optional<TextCodec> codec(ModelConfig config) throws IOException {
    boolean exists = Files.exists(model.folder().resolve("tokenizer.json"));
    return exists || prompts.hasText()
        ? Optional.of(TextCodec.open(model.folder(), config))
        : Optional.empty();
  }

  private void run(
      ModelOptions.Loadable loadable,
      ExecutionPlan plan,
      Optional<TextCodec> codec,
      List<int[]> ids)
      throws IOException {
    ModelConfig config = loadable.config();
    Limits limits = limits(config, plan, ids);
    Foretelling foretelling =
        prefetch()
            .foretelling(
                config,
                plan.ranks(),
                Optional.ofNullable(routes).map(path -> Prefetch.routes(path, config.shape())));
    ExecutionPlan offloading = device.offload(config, plan, limits, !onCpu().isNone());
    List<Device> devices = new ArrayList<>();
    RouteRecorder recorder = new RouteRecorder(config.shape(), recording.isAsked());
    try {
      devices.addAll(device.open(config, offloading, limits, timeline != null));
      Model loaded = Models.load(config, loadable.weights(), offloading, devices, limits, recorder);
      if (!prefetch().isNone()) {
        loaded.foretell(foretelling);
      }

      HostCosts costs = HostCosts.NONE;
      if (!onCpu().isNone()) {
        Device cpu = device.openCpu(timeline != null);
        devices.add(cpu);
        costs = loaded.measureHost(cpu);
        loaded.computeOnHost(cpu, CpuRule.minMax(costs));
        cpu.takeSpans();
      }

      RunResult result = generate(loaded, limits, plan, codec, ids, recorder, costs);
      recording.write(model.toString(), config, recorder);
      if (timeline != null) {
        Timeline spans =
            new Timeline(devices.stream().flatMap(one -> one.takeSpans().stream()).toList());
        WrittenAside.file(timeline, file -> ChromeTrace.write(spans, file));
      }

      print(result);
    } finally {
      devices.forEach(Device::close);
    }
  }

  private Limits limits(ModelConfig config, ExecutionPlan plan, List<int[]> ids) {
    int group = (batchSize + plan.ranks() - 1) / plan.ranks() * plan.ranks();
    int sequences = Math.min(group, ids.size());
    int longest = ids.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    boolean encoder = config instanceof NllbMoeConfig;
    int capacity = encoder ? Math.max(longest, maxNewTokens + 1) : longest + maxNewTokens;
    if (capacity > config.maxPositions() && !encoder) {
      throw new IllegalArgumentException(
          "Invalid --max-new-tokens: %d after a prompt of %d, the model has %d positions"
              .formatted(maxNewTokens, longest, config.maxPositions()));
    }

    long all = ids.stream().mapToLong(prompt -> prompt.length).sum();
    int rows = (int) Math.min(prefillTokens, all);
    return new Limits(
        sequences, capacity, Math.max(encoder ? Math.max(rows, longest) : rows, sequences));
  }

  private RunResult generate(
      Model loaded,
      Limits limits,
      ExecutionPlan plan,
      Optional<TextCodec> codec,
      List<int[]> ids,
      RouteRecorder recorder,
      HostCosts costs) {
    List<int[]> found = new ArrayList<>();
    Generation generation;
    long most =
        ids.stream().mapToLong(prompt -> prompt.length).sum()
            + (long) ids.size() * (maxNewTokens - 1);
    try (ProgressBar bar = Terminal.progress("generate", most)) {
      generation =
          new Generation(loaded, limits, sampler(), maxNewTokens, !ignoresEnd, bar::stepBy);
      for (int first = 0; first < ids.size(); first += limits.sequences()) {
        found.addAll(
            generation.run(
                first, ids.subList(first, Math.min(ids.size(), first + limits.sequences()))));
      }

      bar.maxHint(bar.getCurrent());
    }

    return new RunResult(
        model.toString(),
        loaded.config().architecture(),
        device.name(),
        device.precision(),
        plan.ranks(),
        mode.word(),
        placement,
        seed,
        temperature,
        topP,
        ids,
        found,
        codec.map(one -> found.stream().map(one::decode).toList()).orElse(List.of()),
        generation.prefillTokensPerSecond(),
        generation.decodeTokensPerSecond(),
        loaded.moved(),
        loaded.vectorBytes(),
        loaded.context(),
        loaded.contextVectorBytes(),
        recorder.expertTokens(),
        predictor,
        cpuExperts,
        costs,
        loaded.offloaded());
  }

  private void print(RunResult result) {
    spec.commandLine().getErr().print(RunTable.of(result));
    spec.commandLine().getErr().flush();
    if (json) {
      spec.commandLine().getOut().println(RunJson.toJson(result));
    } else if (result.texts().isEmpty()) {
      result.newTokens().forEach(ids -> spec.commandLine().getOut().println(Arrays.toString(ids)));
    } else {
      result.texts().forEach(text -> spec.commandLine().getOut().println(text));
    }

    spec.commandLine().getOut().flush();
  }
}
