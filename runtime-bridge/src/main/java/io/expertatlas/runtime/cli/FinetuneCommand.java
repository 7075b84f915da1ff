package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.checkpoint.Checkpoint;
import io.expertatlas.runtime.finetune.BatchFile;
import io.expertatlas.runtime.finetune.FinetuneJson;
import io.expertatlas.runtime.finetune.FinetuneResult;
import io.expertatlas.runtime.finetune.Finetuning;
import io.expertatlas.runtime.finetune.TextFiles;
import io.expertatlas.runtime.finetune.TokenRows;
import io.expertatlas.runtime.finetune.TrainingSettings;
import io.expertatlas.runtime.json.ChromeTrace;
import io.expertatlas.runtime.json.RecordedCountsParser;
import io.expertatlas.runtime.model.Models;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.tokenizer.TextCodec;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.MixtralTraining;
import io.expertatlas.runtime.train.StepExecutor;
import io.expertatlas.runtime.train.TrainableModel;
import io.expertatlas.trace.files.WrittenAside;
import io.expertatlas.trace.terminal.Terminal;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
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

/** Trains a model on text. */
@Command(
    name = "finetune",
    description = "Trains a Mixtral model on text.",
    mixinStandardHelpOptions = true)
final class FinetuneCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "Checkpoint in Hugging Face's layout: Mixtral, with its tokenizer.")
  private Path model;

  @Option(
      names = "--text",
      required = true,
      arity = "1..*",
      paramLabel = "FILE",
      description = "Text, UTF-8, a document each; of a folder all files in it.")
  private List<Path> texts;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "Folder for checkpoints, the trained model and report.html.")
  private Path output;

  @Mixin private TrainingOptions training;
  @Mixin private PipelineMixin pipeline;
  @Mixin private final TrainingDevices devices = new TrainingDevices();

  @Option(
      names = "--checkpoint-every",
      defaultValue = "50",
      paramLabel = "N",
      description =
          "Steps between checkpoints; 0: only after the last (default: ${DEFAULT-VALUE}).")
  private int checkpointEvery;

  @Option(names = "--resume", description = "Go on from the newest checkpoint in --output, if any.")
  private boolean resumes;

  @Option(
      names = "--write-batches",
      paramLabel = "FILE.npy",
      description = "Write the token ids of all steps, int32 [steps * batch, sequence length].")
  private Path batches;

  @Option(
      names = "--record-counts",
      paramLabel = "FILE",
      description =
          "Write where the tokens of each step of a --pipeline went, by layer and micro-batch, for"
              + " simulate --counts.")
  private Path counts;

  @Option(
      names = "--timeline",
      paramLabel = "FILE",
      description =
          "Write what ran when in the last step of a --pipeline, for chrome://tracing or"
              + " ui.perfetto.dev.")
  private Path timeline;

  @Option(names = "--json", description = "Print one JSON object to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException, InterruptedException {
    TrainingSettings settings = settings();
    Finetuning finetuning = new Finetuning(model, output, settings, checkpointEvery, resumes);
    finetuning.check();
    if (counts != null && !Files.isDirectory(counts.toAbsolutePath().getParent())) {
      throw new IOException(
          "Cannot write %s: the folder %s does not exist"
              .formatted(counts, counts.toAbsolutePath().getParent()));
    }

    Checkpoint checkpoint = Checkpoint.open(model);
    if (!(checkpoint.config() instanceof MixtralConfig config)) {
      throw new IllegalArgumentException(
          "Cannot fine-tune %s of %s: MixtralForCausalLM is built"
              .formatted(checkpoint.config().architecture(), model));
    }

    checkpoint.check(Models.shapes(config), Models.optional(config));
    if (settings.sequenceLength() > config.maxPositions()) {
      throw new IllegalArgumentException(
          "Invalid --sequence-length: %d, the model has %d positions"
              .formatted(settings.sequenceLength(), config.maxPositions()));
    }

    devices.checkHost(size(config), !pipeline.isThere());
    Optional<LookupTable> table =
        pipeline.table(
            config.hidden(),
            config.inner(),
            config.experts(),
            config.topK(),
            config.vocabulary(),
            settings.batch() / settings.microBatches() * settings.sequenceLength(),
            settings.sequenceLength());
    TokenRows rows = rows(config, settings);
    if (batches != null) {
      WrittenAside.file(
          batches,
          file -> {
            try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file))) {
              BatchFile.write(rows, settings, out);
            }
          });
    }

    try (devices) {
      Backend backend = devices.open(spec, pipeline.devices(), pipeline.memory());
      TrainableModel trained = new MixtralTraining(config, checkpoint, false, devices.hostMemory());
      print(train(finetuning, settings, config.topK(), rows, trained, table, backend));
    }

    return 0;
  }

  /** Numbers of a model. */
  private static long size(MixtralConfig config) {
    return Models.shapes(config).values().stream()
        .mapToLong(shape -> shape.stream().reduce(1L, Math::multiplyExact))
        .sum();
  }

  private TrainingSettings settings() {
    if (checkpointEvery < 0) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid --checkpoint-every: %d, at least 0".formatted(checkpointEvery));
    }

    if (devices.isCuda() && !pipeline.isThere()) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid options: --device cuda takes a --pipeline (gpipe holds all on its devices)");
    }

    if (timeline != null && !pipeline.isThere()) {
      throw new ParameterException(
          spec.commandLine(), "Invalid options: --timeline is of a --pipeline");
    }

    if (counts != null && !pipeline.isThere()) {
      throw new ParameterException(
          spec.commandLine(), "Invalid options: --record-counts is of a --pipeline");
    }

    try {
      return training.settings();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private TokenRows rows(MixtralConfig config, TrainingSettings settings) throws IOException {
    try (TextCodec codec = TextCodec.open(model, config)) {
      return TokenRows.pack(
          TextFiles.read(texts, codec::encode, config.endOfSequence()),
          settings.sequenceLength(),
          settings.heldOut(),
          settings.seed());
    }
  }

  private FinetuneResult train(
      Finetuning finetuning,
      TrainingSettings settings,
      int topK,
      TokenRows rows,
      TrainableModel trained,
      Optional<LookupTable> table,
      Backend backend)
      throws IOException, InterruptedException {
    try (StepExecutor executor = pipeline.open(spec, trained, settings, table, backend);
        ProgressBar bar = Terminal.progress("finetune", settings.steps())) {
      TrainingBar shown = new TrainingBar(bar, settings);
      CountsRecorder recorder = new CountsRecorder(executor, shown);
      FinetuneResult result =
          finetuning.run(trained, rows, executor, words(), counts == null ? shown : recorder);
      if (counts != null) {
        write(recorder, settings, topK, trained);
      }

      if (timeline != null) {
        WrittenAside.file(timeline, file -> ChromeTrace.write(executor.timeline(), file));
      }

      return result;
    }
  }

  private void write(
      CountsRecorder recorder, TrainingSettings settings, int topK, TrainableModel trained)
      throws IOException {
    if (recorder.steps().isEmpty()) {
      spec.commandLine().getErr().printf("no step was left to run: %s is not written%n", counts);
      return;
    }

    RecordedCounts recorded =
        new RecordedCounts(
            topK,
            settings.batch(),
            settings.sequenceLength(),
            trained.size(),
            recorder.firstStep(),
            recorder.steps());
    WrittenAside.file(counts, file -> RecordedCountsParser.write(recorded, file));
  }

  private Map<String, String> words() {
    Map<String, String> words = new TreeMap<>(devices.words());
    words.putAll(pipeline.words());
    return words;
  }

  private void print(FinetuneResult result) {
    spec.commandLine()
        .getErr()
        .printf(
            "%d steps, loss %.4f to %.4f; held-out loss %.4f to %.4f over %,d tokens;"
                + " %.0f tokens/s; %s%n",
            result.curve().size(),
            result.curve().get(0).loss(),
            result.curve().get(result.curve().size() - 1).loss(),
            result.heldOutBefore(),
            result.heldOutAfter(),
            result.heldOutTokens(),
            result.tokensPerSecond(),
            output.resolve("report.html"));
    spec.commandLine().getErr().flush();
    if (json) {
      spec.commandLine().getOut().println(FinetuneJson.toJson(result));
      spec.commandLine().getOut().flush();
    }
  }
}
