package io.expertatlas.runtime.cli;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.benchmark.Machine;
import io.expertatlas.runtime.benchmark.Measurement;
import io.expertatlas.runtime.benchmark.RunBenchmark;
import io.expertatlas.runtime.benchmark.Settings;
import io.expertatlas.runtime.benchmark.StepBytes;
import io.expertatlas.runtime.benchmark.Way;
import io.expertatlas.runtime.json.BenchmarkJson;
import io.expertatlas.runtime.model.CpuRule;
import io.expertatlas.runtime.model.Foretelling;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.Model;
import io.expertatlas.runtime.model.Models;
import io.expertatlas.runtime.model.RecordedRoutes;
import io.expertatlas.runtime.model.RunObserver;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.util.ArrayList;
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

/** Measures how fast a model runs beside what the machine could do. */
@Command(
    name = "benchmark-run",
    description =
        "Times decode and prefill of a Mixtral model: medians, beside the memory's bandwidth and"
            + " the dense products alone.",
    mixinStandardHelpOptions = true)
final class BenchmarkRunCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ModelOptions model;
  @Mixin private DeviceOptions device;

  @Option(
      names = "--placement",
      defaultValue = "vanilla",
      paramLabel = "P",
      description =
          "As of run; may be given several times, to compare them (default: ${DEFAULT-VALUE}).")
  private List<String> placements;

  @Option(
      names = "--ranks",
      defaultValue = "0",
      paramLabel = "R",
      description = "Ranks to run on; default: as the placement says, else 1.")
  private int ranks;

  @Option(
      names = "--mode",
      split = ",",
      paramLabel = "M",
      description =
          "How tokens meet experts of other ranks, one or more of ${COMPLETION-CANDIDATES}"
              + " (default: all; with one rank they are the same).")
  private List<ParallelMode> modes = List.of();

  @Option(
      names = "--predictor",
      split = ",",
      defaultValue = "none",
      paramLabel = "P",
      description =
          "As of run, one or more, measured in turns; for oracle a run of its own is recorded before"
              + " (default: ${DEFAULT-VALUE}).")
  private List<String> predictors;

  @Option(
      names = "--cpu-experts",
      split = ",",
      defaultValue = "none",
      paramLabel = "R",
      description =
          "As of run, one or more, measured in turns with each --predictor (default:"
              + " ${DEFAULT-VALUE}).")
  private List<String> cpuExperts;

  @Option(
      names = "--batch-sizes",
      split = ",",
      defaultValue = "1,32",
      paramLabel = "N",
      description = "Sequences of each decode measurement (default: ${DEFAULT-VALUE}).")
  private List<Integer> batches;

  @Option(
      names = "--context",
      defaultValue = "512",
      paramLabel = "N",
      description = "Tokens of a sequence before decode (default: ${DEFAULT-VALUE}).")
  private int context;

  @Option(
      names = "--steps",
      defaultValue = "64",
      paramLabel = "N",
      description = "Decode steps of a round (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--prefill",
      defaultValue = "8x1024",
      converter = RandomPrompts.Converter.class,
      paramLabel = "BxL",
      description = "Prefill of B prompts of L tokens in one step (default: ${DEFAULT-VALUE}).")
  private RandomPrompts prefill;

  @Option(
      names = "--rounds",
      defaultValue = "5",
      paramLabel = "N",
      description = "Measured rounds, after one that is not (default: ${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--bandwidth",
      defaultValue = "0",
      paramLabel = "B",
      description = "Bytes a second of the memory, as in 4.8e12; default: measured by copies.")
  private double bandwidth;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Seed of prompts and random weights (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(names = "--json", description = "Print one JSON object to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    device.check(spec);
    List<Prefetch> prefetches = predictors.stream().map(Prefetch::new).toList();
    prefetches.forEach(prefetch -> prefetch.check(spec, device));
    boolean hasOracle = prefetches.stream().anyMatch(Prefetch::isOracle);
    onCpu().forEach(one -> one.check(spec, device, hasOracle));
    Settings settings = settings();
    ModelOptions.Loadable loadable = model.open(spec, seed);
    if (!(loadable.config() instanceof MixtralConfig config)) {
      throw new IllegalArgumentException(
          "Cannot benchmark %s: %s, only Mixtral models"
              .formatted(model, loadable.config().architecture()));
    }

    if (settings.capacity() > config.maxPositions()) {
      throw new IllegalArgumentException(
          "Invalid --context, --steps or --prefill: %d tokens of a sequence, the model has %d positions"
              .formatted(settings.capacity(), config.maxPositions()));
    }

    List<ExecutionPlan> plans = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (String placement : placements) {
      for (ParallelMode mode : modes.isEmpty() ? List.of(ParallelMode.values()) : modes) {
        ExecutionPlan plan =
            new ExecutionPlan(
                config.shape(), PlacementOption.read(placement, config.shape(), ranks), mode);
        if (plan.ranks() > 1 || plans.isEmpty()) {
          plans.add(plan);
          names.add(placement);
        }
      }
    }

    RecordedRoutes routes = new RecordedRoutes(config.shape());
    List<Foretelling> foretellings = new ArrayList<>();
    int mostRanks = plans.stream().mapToInt(ExecutionPlan::ranks).max().orElseThrow();
    for (Prefetch prefetch : prefetches) {
      foretellings.add(prefetch.foretelling(config, mostRanks, Optional.of(routes)));
    }

    List<Measurement> measurements = new ArrayList<>();
    Machine machine;
    try (ProgressBar bar = Terminal.progress("measure", 1 + plans.size() * (batches.size() + 1L))) {
      try (Device one = device.openOne()) {
        machine =
            Machine.measure(one, config, bandwidth, prefill.count() * prefill.length(), rounds);
      }

      bar.step();
      for (int i = 0; i < plans.size(); i++) {
        measurements.addAll(
            measure(
                loadable, config, plans.get(i), names.get(i), settings, routes, foretellings, bar));
      }
    }

    print(settings, machine, measurements);
    return 0;
  }

  private List<CpuExperts> onCpu() {
    return cpuExperts.stream().map(CpuExperts::new).toList();
  }

  private Settings settings() {
    if (!(bandwidth >= 0) || Double.isInfinite(bandwidth)) {
      throw new ParameterException(
          spec.commandLine(), "Invalid --bandwidth: %s, 0 or more".formatted(bandwidth));
    }

    if (ranks < 0) {
      throw new ParameterException(
          spec.commandLine(), "Invalid --ranks: %d, at least 0".formatted(ranks));
    }

    try {
      return new Settings(batches, context, steps, prefill.count(), prefill.length(), rounds, seed);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private List<Measurement> measure(
      ModelOptions.Loadable loadable,
      MixtralConfig config,
      ExecutionPlan plan,
      String placement,
      Settings settings,
      RecordedRoutes routes,
      List<Foretelling> foretellings,
      ProgressBar bar) {
    Limits limits =
        new Limits(
            (settings.sequences() + plan.ranks() - 1) / plan.ranks() * plan.ranks(),
            settings.capacity(),
            Math.max(settings.rows(), settings.sequences() + plan.ranks()));
    boolean usesCpu = onCpu().stream().anyMatch(one -> !one.isNone());
    ExecutionPlan offloading = device.offload(config, plan, limits, usesCpu);
    List<Device> devices =
        new ArrayList<>(device.open(config, offloading, limits, false /* timeline */));
    try {
      StepBytes bytes =
          new StepBytes(
              config, devices.get(0).weightType().bytes(), devices.get(0).activationType().bytes());
      RunObserver observer =
          step -> {
            bytes.routed(step);
            routes.routed(step);
          };
      Model loaded = Models.load(config, loadable.weights(), offloading, devices, limits, observer);
      Optional<Device> cpu = Optional.empty();
      HostCosts costs = HostCosts.NONE;
      if (usesCpu) {
        cpu = Optional.of(device.openCpu(false /* timeline */));
        devices.add(cpu.get());
        costs = loaded.measureHost(cpu.get());
      }

      List<Way> ways = new ArrayList<>(); // [CPU's experts][predictor]
      for (CpuExperts one : onCpu()) {
        CpuRule rule = one.isNone() ? CpuRule.NONE : CpuRule.minMax(costs);
        foretellings.forEach(foretelling -> ways.add(new Way(foretelling, rule)));
      }

      RunBenchmark benchmark = new RunBenchmark(loaded, limits, settings, bytes, routes, ways, cpu);
      List<List<Measurement.Decode>> decode = new ArrayList<>(); // [batch][way]
      for (int batch : settings.batches()) {
        decode.add(benchmark.decode(batch));
        bar.step();
      }

      List<Measurement.Prefill> filled = benchmark.prefill();
      bar.step();
      List<Measurement> found = new ArrayList<>();
      for (int w = 0; w < ways.size(); w++) {
        int at = w;
        CpuExperts onCpu = onCpu().get(w / predictors.size());
        found.add(
            new Measurement(
                placement,
                plan.mode().word(),
                plan.ranks(),
                predictors.get(w % predictors.size()),
                onCpu.text(),
                onCpu.isNone() ? HostCosts.NONE : costs,
                decode.stream().map(ofBatch -> ofBatch.get(at)).toList(),
                filled.get(w)));
      }

      return found;
    } finally {
      devices.forEach(Device::close);
    }
  }

  private void print(Settings settings, Machine machine, List<Measurement> measurements) {
    spec.commandLine().getErr().print(BenchmarkTable.of(machine, measurements, settings.steps()));
    spec.commandLine().getErr().flush();
    if (json) {
      spec.commandLine()
          .getOut()
          .println(
              BenchmarkJson.toJson(
                  model.toString(),
                  device.name(),
                  device.precision(),
                  settings,
                  machine,
                  measurements));
      spec.commandLine().getOut().flush();
    }
  }
}
