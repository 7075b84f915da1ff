package io.expertatlas.runtime.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.benchmark.StepForecast;
import io.expertatlas.runtime.benchmark.TrainingBenchmark;
import io.expertatlas.runtime.benchmark.TrainingBenchmark.Result;
import io.expertatlas.runtime.json.RecordedCountsParser;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.synthetic.SkewedTraining;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.InitialWeights;
import io.expertatlas.runtime.train.PipelineExecutor;
import io.expertatlas.runtime.train.PostNormConfig;
import io.expertatlas.runtime.train.PostNormModel;
import io.expertatlas.runtime.train.TrainableModel;
import io.expertatlas.trace.files.WrittenAside;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Times training steps of the generalized model under several pipelines. */
@Command(
    name = "benchmark-finetune",
    description =
        "Times training steps of a preset of APTMoE's generalized model, with random weights and"
            + " tokens, under several pipelines in turn: medians.",
    mixinStandardHelpOptions = true)
final class BenchmarkFinetuneCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private final TrainingDevices devices = new TrainingDevices();
  @Mixin private PipelineMixin pipeline;

  @Option(
      names = "--preset",
      defaultValue = "S",
      paramLabel = "P",
      description = "S, M or L (default: ${DEFAULT-VALUE}).")
  private String preset;

  @Option(
      names = "--layers",
      defaultValue = "32",
      paramLabel = "L",
      description = "Layers (default: ${DEFAULT-VALUE}).")
  private int layers;

  @Option(
      names = "--experts",
      defaultValue = "16",
      paramLabel = "E",
      description = "Experts of a layer (default: ${DEFAULT-VALUE}).")
  private int experts;

  @Option(
      names = "--top-k",
      defaultValue = "2",
      paramLabel = "K",
      description = "Experts of a token (default: ${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--skew",
      paramLabel = "S",
      description =
          "Sum of squared shares of a layer's experts; default: routers as they are drawn.")
  private Double skew;

  @Option(
      names = "--pipelines",
      split = ",",
      defaultValue = "gpipe-offload,mobius,aptmoe",
      paramLabel = "P",
      description = "Which, instead of --pipeline (default: ${DEFAULT-VALUE}).")
  private List<String> pipelines;

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
      description = "Parts of a step, one after the other (default: ${DEFAULT-VALUE}).")
  private int microBatches;

  @Option(
      names = "--sequence-length",
      defaultValue = "128",
      paramLabel = "T",
      description = "Tokens of a sequence (default: ${DEFAULT-VALUE}).")
  private int length;

  @Option(
      names = "--vocabulary",
      defaultValue = "1024",
      paramLabel = "V",
      description = "Token ids (default: ${DEFAULT-VALUE}).")
  private int vocabulary;

  @Option(
      names = "--overlap-optimizer",
      description =
          "Move parameters as soon as their gradients are on the host, as finetune does with"
              + " --clip-norm 0.")
  private boolean overlaps;

  @Option(
      names = "--rounds",
      defaultValue = "3",
      paramLabel = "N",
      description = "Measured rounds, after one that is not (default: ${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Seed of weights and tokens (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--record-counts",
      paramLabel = "FILE",
      description =
          "Write where the tokens of each step of one pipeline went, the first, which is not"
              + " measured, included, for simulate --counts.")
  private Path counts;

  @Option(names = "--json", description = "Print one JSON object to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException, InterruptedException {
    PostNormConfig config =
        PostNormConfig.preset(preset, experts, topK, vocabulary).withLayers(layers);
    check();
    devices.checkHost(config.size(), false);
    Optional<LookupTable> table =
        pipeline.table(
            config.hidden(),
            config.inner(),
            config.experts(),
            config.topK(),
            config.vocabulary(),
            batch / microBatches * length,
            length);
    Map<String, PipelineExecutor> executors = new TreeMap<>(); // the last of each pipeline
    Map<String, StepForecast> forecasts = new TreeMap<>();
    WeightSource weights =
        skew == null ? new InitialWeights(seed) : new SkewedTraining(config, skew, seed);
    List<Result> results;
    try (devices) {
      Backend backend = devices.open(spec, pipeline.devices(), pipeline.memory());
      TrainableModel model = new PostNormModel(config, weights, devices.hostMemory());
      ExpertCosts costs = pipeline.costs(table, model, backend);
      try (ProgressBar bar =
          Terminal.progress("benchmark-finetune", (rounds + 1L) * pipelines.size())) {
        results =
            TrainingBenchmark.run(
                model,
                pipelines,
                name -> {
                  PipelineExecutor executor =
                      pipeline.open(
                          spec,
                          name,
                          model,
                          microBatches,
                          batch / microBatches,
                          length,
                          seed,
                          costs,
                          backend);
                  executors.put(name, executor);
                  return executor;
                },
                rounds,
                batch,
                length,
                seed,
                overlaps,
                bar::step);
      }

      if (table.isPresent()) {
        for (Result one : results) {
          forecasts.put(
              one.pipeline(),
              StepForecast.of(
                  executors.get(one.pipeline()).options(),
                  backend,
                  table.get(),
                  one.routing(),
                  batch / microBatches * length,
                  config.size(),
                  overlaps));
        }
      }
    }

    if (counts != null) {
      RecordedCounts recorded =
          new RecordedCounts(topK, batch, length, config.size(), 1, results.get(0).routing());
      WrittenAside.file(counts, file -> RecordedCountsParser.write(recorded, file));
    }

    print(config, results, forecasts);
    return 0;
  }

  private void check() {
    if (batch < 1 || microBatches < 1 || batch % microBatches != 0 || rounds < 1 || length < 2) {
      throw new ParameterException(
          spec.commandLine(),
          ("Invalid options: --batch %d in --micro-batches %d must divide, --rounds %d at least 1,"
                  + " --sequence-length %d at least 2")
              .formatted(batch, microBatches, rounds, length));
    }

    if (counts != null && pipelines.size() != 1) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid --record-counts: it is of one pipeline, name it with --pipelines");
    }
  }

  private void print(
      PostNormConfig config, List<Result> results, Map<String, StepForecast> forecasts) {
    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        "%s-%d, %d layers, top-%d, %.2f billion parameters; %d sequences of %d tokens in %d parts%n",
        preset,
        config.experts(),
        config.layers(),
        config.topK(),
        config.size() / 1e9,
        batch,
        length,
        microBatches);
    for (Result one : results) {
      err.printf(
          "  %-14s %.3f s a step (optimizer %.3f), %.1f sequences/s; %.1f GB loaded in %.3f s,"
              + " %.0f experts on the CPU in %.3f s; skew %.3f; %s%n",
          one.pipeline(),
          one.seconds(),
          one.optimizerSeconds(),
          batch / one.seconds(),
          one.loadedBytes() / 1e9,
          one.loadSeconds(),
          one.cpuExperts(),
          one.cpuSeconds(),
          one.skew(),
          ByteSize.show(one.peakBytes()));
      StepForecast forecast = forecasts.get(one.pipeline());
      if (forecast != null) {
        err.printf(
            "  %-14s %.3f s simulated (optimizer %.3f), %+.1f %%; gradients %.3f s simulated, %.3f"
                + " measured; loads %.3f s, %d experts on the CPU in %.3f s%n",
            "",
            forecast.seconds(),
            forecast.optimizerSeconds(),
            100 * (forecast.seconds() / one.seconds() - 1),
            forecast.gradientSeconds(),
            one.gradientSeconds(),
            forecast.loadSeconds(),
            forecast.cpuExperts(),
            forecast.cpuSeconds());
      }
    }

    err.flush();
    if (json) {
      spec.commandLine().getOut().println(toJson(config, results, forecasts));
      spec.commandLine().getOut().flush();
    }
  }

  private String toJson(
      PostNormConfig config, List<Result> results, Map<String, StepForecast> forecasts) {
    ObjectNode root = new ObjectMapper().createObjectNode();
    root.put("format-version", 1);
    root.put("preset", preset);
    root.put("layers", config.layers());
    root.put("experts", config.experts());
    root.put("top-k", config.topK());
    root.put("skew", skew);
    root.put("parameters", config.size());
    root.put("batch", batch);
    root.put("micro-batches", microBatches);
    root.put("sequence-length", length);
    root.put("seed", seed);
    root.put("overlap-optimizer", overlaps);
    devices.words().forEach(root::put);
    pipeline.words().forEach(root::put);
    root.remove("pipeline");
    for (Result one : results) {
      ObjectNode node = root.withArray("measurements").addObject();
      node.put("pipeline", one.pipeline());
      node.put("step-seconds", one.seconds());
      node.put("gradient-seconds", one.gradientSeconds());
      node.put("optimizer-seconds", one.optimizerSeconds());
      one.stepSeconds().forEach(node.withArray("all-step-seconds")::add);
      node.put("sequences-per-second", batch / one.seconds());
      node.put("loaded-bytes", one.loadedBytes());
      node.put("load-seconds", one.loadSeconds());
      node.put("cpu-experts", one.cpuExperts());
      node.put("cpu-seconds", one.cpuSeconds());
      node.put("peak-bytes", one.peakBytes());
      node.put("skew", one.skew());
      node.put("loss", one.loss());
      StepForecast forecast = forecasts.get(one.pipeline());
      if (forecast != null) {
        node.put("simulated-step-seconds", forecast.seconds());
        node.put("simulated-gradient-seconds", forecast.gradientSeconds());
        node.put("simulated-optimizer-seconds", forecast.optimizerSeconds());
        node.put("simulated-load-seconds", forecast.loadSeconds());
        node.put("simulated-cpu-experts", forecast.cpuExperts());
        node.put("simulated-cpu-seconds", forecast.cpuSeconds());
      }
    }

    return root.toString();
  }
}
