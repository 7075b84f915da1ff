package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.json.GateWeights;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.predictor.nd4j.LocalRunner;
import io.expertatlas.predictor.nd4j.TrainingRunner;
import io.expertatlas.predictor.spark.TrainJob;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code atlas train-predictor}. */
@Command(
    name = "train-predictor",
    description =
        "Trains predictors of the next layers' experts on router inputs, and scores them on"
            + " sequences that were held out.",
    mixinStandardHelpOptions = true)
final class TrainCommand implements Callable<Integer> {
  private static final Pattern FILES =
      Pattern.compile(String.join("|", PredictorKind.words()) + "|metrics\\.json|report\\.html");

  @Spec private CommandSpec spec;
  @Mixin private TraceOptions trace;
  @Mixin private TrainOptions options;
  @Mixin private ScoreOptions scoring;

  @Option(
      names = "--gates",
      paramLabel = "CHECKPOINT",
      description =
          "The model's safetensors, a folder or a file: its gates make next-gate and are where"
              + " trained maps start.")
  private Path gates;

  @Option(
      names = "--gate-prefix",
      paramLabel = "P",
      description = "Of the gates' tensor names, if a checkpoint has several stacks.")
  private String gatePrefix = "";

  @Option(
      names = "--model",
      paramLabel = "NAME",
      description = "Name of the model; without it, what the trace says.")
  private String modelName = "";

  @Option(
      names = "--output",
      required = true,
      paramLabel = "R",
      description = "Folder to be created: a folder for each predictor, metrics.json, report.html.")
  private Path output;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Layers trained at the same time; without it, the machine's processors.")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(
      names = "--master",
      paramLabel = "M",
      description = "Train as a Spark job on this master, a task for each layer.")
  private String master = "";

  @Option(
      names = "--resume",
      description = "Go on where an interrupted training of the same output stopped.")
  private boolean resume;

  @Option(names = "--overwrite", description = "Replace an existing folder of predictors.")
  private boolean overwrite;

  @Option(names = "--json", description = "Print the metrics to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    OutputFolder folder = new OutputFolder(output, overwrite, "predictor folder", FILES);
    folder.check();
    checkOptions();
    WorkFolder work = WorkFolder.of(output, resume);
    String metrics;
    try {
      metrics = trainAndScore(folder, work);
    } catch (RuntimeException | IOException e) {
      work.deleteIfUseless();
      throw e;
    }

    work.delete();
    if (json) {
      spec.commandLine().getOut().print(metrics);
      spec.commandLine().getOut().flush();
    }

    return 0;
  }

  private String trainAndScore(OutputFolder folder, WorkFolder work) throws IOException {
    PrintWriter err = spec.commandLine().getErr();
    PredictedModel model;
    SequenceSplit split;
    List<SavedPredictor> saved;
    try (RouterStatesReader reader = RouterStatesFormat.openStates(trace.source())) {
      model = model(reader);
      Optional<GateWeights> weights =
          gates == null
              ? Optional.empty()
              : Optional.of(GateWeights.read(gates, gatePrefix, model));
      try (TrainingRunner runner = runner(reader, model, weights, work)) {
        split =
            SequenceSplit.draw(
                runner.sequences(), options.seed(), options.testShare(), options.validationShare());
        saved =
            new KindTraining(err, trace, options, model, weights)
                .train(kinds(), runner, split, work.path());
      }
    }

    return new HeldOutScore(err, trace, scoring, options.seed())
        .write(saved, model, split, folder, output);
  }

  /** Threads on a store beside the output, or a Spark job. */
  private TrainingRunner runner(
      RouterStatesReader reader,
      PredictedModel model,
      Optional<GateWeights> weights,
      WorkFolder work)
      throws IOException {
    boolean submitted = System.getProperty("spark.master") != null; // by spark-submit
    if (master.isEmpty() && !submitted) {
      return new LocalRunner(
          work.store(trace.source(), trace.selection(), reader, model, gates, weights), threads);
    }

    if (weights.isPresent()) {
      Optional<RouterStates> first = reader.next();
      if (first.isPresent()) {
        GateCheck.check(weights.get(), gates, first.get());
      }
    }

    return new TrainJob(
        master,
        trace.source(),
        trace.selection(),
        model,
        reader.tokens(),
        WorkFolder.origin(trace.source(), trace.selection(), reader.tokens()));
  }

  private void checkOptions() {
    if (options.lookahead() < 1) {
      throw usage("Invalid --lookahead: %d, at least 1".formatted(options.lookahead()));
    }

    if (threads < 1) {
      throw usage("Invalid --threads: %d, at least 1".formatted(threads));
    }

    scoring.iterationTokens();
    scoring.expertBytes();
    try {
      SequenceSplit.draw(new int[] {0, 1, 2}, 0, options.testShare(), options.validationShare());
      for (PredictorKind kind : PredictorKind.values()) {
        if (kind.isTrained()) {
          options.config(kind, 1);
        }
      }
    } catch (IllegalArgumentException e) {
      throw usage(e.getMessage());
    }

    if (gates == null && options.kinds().contains(PredictorKind.NEXT_GATE)) {
      throw usage("Missing --gates: next-gate is made of the model's own gates");
    }
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  private List<PredictorKind> kinds() {
    if (!options.kinds().isEmpty()) {
      return Stream.of(PredictorKind.values()).filter(options.kinds()::contains).toList();
    }

    return Stream.of(PredictorKind.values())
        .filter(kind -> kind != PredictorKind.NEXT_GATE || gates != null)
        .toList();
  }

  private PredictedModel model(RouterStatesReader reader) {
    if (reader.hiddenSize() == 0) {
      throw new PredictorFormatException(
          "Cannot train on %s: it has router scores, but no hidden states"
              .formatted(trace.source().path()));
    }

    if (reader.shape().layers() < 2) {
      throw new PredictorFormatException(
          "Cannot train on %s: it has 1 MoE layer, at least 2 are needed"
              .formatted(trace.source().path()));
    }

    return new PredictedModel(
        modelName.isEmpty() ? reader.model() : modelName, reader.shape(), reader.hiddenSize());
  }
}
