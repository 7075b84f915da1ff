package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.AffinePredictor;
import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictionMetrics;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.Scoring;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.TablePredictor;
import io.expertatlas.predictor.json.GateWeights;
import io.expertatlas.predictor.json.MetricsParser;
import io.expertatlas.predictor.json.PredictorFiles;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.predictor.json.SavedPredictor.Training;
import io.expertatlas.predictor.json.ScoredPredictor;
import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.LocalRunner;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.nd4j.TrainerConfig;
import io.expertatlas.predictor.nd4j.TrainingPlan;
import io.expertatlas.predictor.nd4j.TrainingRunner;
import io.expertatlas.predictor.report.PredictorReport;
import io.expertatlas.predictor.spark.TrainJob;
import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import me.tongfei.progressbar.ProgressBar;
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
  private static final String METRICS = "metrics.json";
  private static final String REPORT = "report.html";
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
    try (RouterStatesReader reader = RouterStatesFormat.openStates(trace.source())) {
      PredictedModel model = model(reader);
      List<PredictorKind> kinds = kinds();
      Optional<GateWeights> weights = Optional.empty();
      if (gates != null) {
        weights = Optional.of(GateWeights.read(gates, gatePrefix, model));
      }

      StateStore store =
          work.store(trace.source(), trace.selection(), reader, model, gates, weights);
      SequenceSplit split =
          SequenceSplit.draw(
              Arrays.stream(store.sequences()).distinct().toArray(),
              options.seed(),
              options.testShare(),
              options.validationShare());
      Optional<AffinePredictor> nextGate =
          weights.map(
              found ->
                  AffinePredictor.nextGate(
                      model, options.lookahead(), found.weights(), found.biases()));
      TrainingPlan plan = new TrainingPlan(store, split, options.lookahead(), nextGate);
      err.printf(
          "%s: %s, hidden size %d; %d tokens to train on, %d for validation; %s%n",
          model.name().isEmpty() ? "a model" : model.name(),
          model.shape(),
          model.hiddenSize(),
          plan.trainTokens(),
          plan.validationTokens(),
          split);
      err.flush();
      List<SavedPredictor> saved = train(kinds, plan, split, nextGate, model, work.path());
      return score(saved, model, split, folder);
    }
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

  private List<SavedPredictor> train(
      List<PredictorKind> kinds,
      TrainingPlan plan,
      SequenceSplit split,
      Optional<AffinePredictor> nextGate,
      PredictedModel model,
      Path work) {
    List<LayerTask> tasks = new ArrayList<>();
    for (PredictorKind kind : kinds) {
      if (kind.isTrained()) {
        TrainerConfig config = options.config(kind, model.hiddenSize());
        tasks.addAll(plan.tasks(config, options.startsAtGate(kind), work));
      }
    }

    List<TrainedLayer> trained = run(tasks);
    List<SavedPredictor> saved = new ArrayList<>();
    int next = 0;
    int layers = model.shape().layers() - 1;
    for (PredictorKind kind : kinds) {
      List<TrainedLayer> own = kind.isTrained() ? trained.subList(next, next + layers) : List.of();
      next += own.size();
      ExpertPredictor predictor;
      if (kind.isTrained()) {
        predictor = plan.predictor(kind, own);
      } else if (kind == PredictorKind.NEXT_GATE) {
        predictor = nextGate.orElseThrow();
      } else {
        predictor = TablePredictor.of(kind, model, options.lookahead(), plan.counts());
      }

      saved.add(
          new SavedPredictor(
              predictor,
              split,
              new Training(
                  trace.source().path().toString(),
                  trace.selection().toString(),
                  kind == PredictorKind.NEXT_GATE ? 0 : plan.trainTokens(),
                  options.seed(),
                  kind.isTrained() ? options.batch() : 0,
                  kind.isTrained() ? options.learningRate() : 0,
                  own.stream().map(TrainedLayer::epoch).toList())));
    }

    return saved;
  }

  private List<TrainedLayer> run(List<LayerTask> tasks) {
    if (tasks.isEmpty()) {
      return List.of();
    }

    boolean submitted = System.getProperty("spark.master") != null; // by spark-submit
    TrainingRunner runner =
        master.isEmpty() && !submitted ? new LocalRunner(threads) : new TrainJob(master);
    long begin = System.nanoTime();
    List<TrainedLayer> trained;
    try (ProgressBar bar = Terminal.progress("train", (long) tasks.size() * options.epochs())) {
      trained = runner.train(tasks, bar::step);
      bar.stepTo(bar.getMax());
    }

    spec.commandLine()
        .getErr()
        .printf("Trained %d layers in %.1f s%n", tasks.size(), (System.nanoTime() - begin) / 1e9);
    return trained;
  }

  /** Scores on the held-out sequences and writes the folder; gives the metrics. */
  private String score(
      List<SavedPredictor> saved, PredictedModel model, SequenceSplit split, OutputFolder folder)
      throws IOException {
    Scoring held =
        new Scoring(
            model,
            saved.stream().map(SavedPredictor::predictor).toList(),
            scoring.iterationTokens(),
            (iteration, gate, predicted) -> {});
    TokenSelection selection = trace.selection();
    try (RouterStatesReader reader = RouterStatesFormat.openStates(trace.source());
        ProgressBar bar = Terminal.progress("score", reader.tokens())) {
      long token = 0;
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        RouterStates states = next.get();
        long from = token;
        held.add(
            states,
            index -> {
              int sequence = states.routes().sequence(index);
              return selection.keeps(from + index, sequence) && split.part(sequence) == Part.TEST;
            });
        token += states.tokens();
        bar.stepTo(token);
      }
    }

    held.finish();
    List<ScoredPredictor> scored = new ArrayList<>();
    for (int p = 0; p < saved.size(); p++) {
      List<PredictionMetrics> headOuts = new ArrayList<>();
      for (int h = 1; h <= held.heads(p); h++) {
        headOuts.add(held.score(p, h).metrics(options.seed()));
      }

      ExpertPredictor predictor = saved.get(p).predictor();
      scored.add(new ScoredPredictor(predictor.kind().word(), predictor, headOuts));
    }

    String metrics =
        MetricsParser.toJson(
            scored,
            trace.source().path().toString(),
            held.tokens(),
            options.seed(),
            scoring.iterationTokens(),
            scoring.expertBytes());
    String words =
        "%,d held-out tokens of %d sequences of %s"
            .formatted(
                held.tokens(),
                split.test().length,
                trace.source().path().toAbsolutePath().normalize().getFileName());
    folder.write(
        aside -> {
          for (SavedPredictor one : saved) {
            Path own = Files.createDirectory(aside.resolve(one.predictor().kind().word()));
            PredictorFiles.write(one, own);
          }

          Files.writeString(aside.resolve(METRICS), metrics);
          PredictorReport.of(words, scored).write(aside.resolve(REPORT));
        });
    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        "%s, k = %d:%n%s",
        words, model.shape().topK(), MetricsTable.of(scored, scoring.expertBytes()));
    err.print(GainTable.of(saved, held, options.seed()));
    err.printf("%s: open %s in a browser%n", output, output.resolve(REPORT));
    err.flush();
    return metrics;
  }
}
