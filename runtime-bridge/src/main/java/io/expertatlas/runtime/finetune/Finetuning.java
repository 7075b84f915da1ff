package io.expertatlas.runtime.finetune;

import io.expertatlas.runtime.train.Parameter;
import io.expertatlas.runtime.train.StepExecutor;
import io.expertatlas.runtime.train.TrainableModel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A fine-tuning from a model's folder to another one. The output folder holds checkpoints while the
 * training runs, the model and {@code report.html} when it is done, and the last checkpoint.
 *
 * @param source the model's folder
 * @param output a folder that does not exist, or the one to resume in
 * @param settings what the result depends on
 * @param checkpointEvery steps between checkpoints; 0: only after the last step
 * @param resumes whether it goes on from the newest checkpoint in the output folder, if any
 */
public record Finetuning(
    Path source, Path output, TrainingSettings settings, int checkpointEvery, boolean resumes) {
  private static final Pattern OWN =
      Pattern.compile("checkpoint-\\d{6,9}|report\\.html|.*\\.unfinished");

  /**
   * Refuses an output folder that must not be written: to be called before the work.
   *
   * @throws IOException if its parent is no folder, if it exists and nothing is resumed, or if it
   *     holds what no training wrote
   */
  public void check() throws IOException {
    Path parent = output.toAbsolutePath().normalize().getParent();
    if (parent == null || !Files.isDirectory(parent)) {
      throw new IOException(
          "Cannot write %s: the folder %s does not exist".formatted(output, parent));
    }

    if (!Files.exists(output)) {
      return;
    }

    if (!resumes) {
      throw new IOException(
          "Cannot write %s: it exists already. Maybe add --resume".formatted(output));
    }

    if (!Files.isDirectory(output)) {
      throw new IOException("Cannot resume in %s: it is not a folder".formatted(output));
    }

    try (Stream<Path> inside = Files.list(output)) {
      String foreign =
          inside
              .map(path -> path.getFileName().toString())
              .filter(name -> !OWN.matcher(name).matches() && !ModelFolder.isOwn(name))
              .sorted()
              .findFirst()
              .orElse("");
      if (!foreign.isEmpty()) {
        throw new IOException(
            "Cannot resume in %s: it holds %s, which no training wrote".formatted(output, foreign));
      }
    }
  }

  /**
   * Trains and writes.
   *
   * @param model with the weights of the source
   * @param execution how the executor computes, for the report
   * @throws TrainingException if the numbers stop being numbers, or a checkpoint is of another
   *     training
   * @throws IOException if a file cannot be read or written
   * @throws InterruptedException if the thread is interrupted
   */
  public FinetuneResult run(
      TrainableModel model,
      TokenRows rows,
      StepExecutor executor,
      Map<String, String> execution,
      TrainingObserver observer)
      throws IOException, InterruptedException {
    return run(model, rows, executor, execution, observer, FileLayer.REAL);
  }

  FinetuneResult run(
      TrainableModel model,
      TokenRows rows,
      StepExecutor executor,
      Map<String, String> execution,
      TrainingObserver observer,
      FileLayer files)
      throws IOException, InterruptedException {
    check();
    Map<String, String> identity = new LinkedHashMap<>(settings.words());
    identity.put("text", rows.digest());
    identity.put("weights", digest(model.parameters()));
    if (!Files.exists(output)) {
      files.createFolder(output);
    }

    CheckpointFolder checkpoints = new CheckpointFolder(output, files, identity);
    Clock clock = new Clock(observer);
    Trainer trainer =
        new Trainer(model, executor, settings, rows, checkpoints, checkpointEvery, clock);
    TrainingState state = trainer.run();
    double after = trainer.heldOutLoss();
    FinetuneResult result =
        new FinetuneResult(
            source.toString(),
            identity,
            execution,
            model.size(),
            state.step() - clock.steps,
            state.curve(),
            state.heldOutBefore(),
            after,
            (long) rows.heldOutRows() * settings.sequenceLength(),
            clock.steps == 0
                ? 0
                : 1e9 * clock.steps * settings.batch() * settings.sequenceLength() / clock.nanos,
            executor.peakBytes());
    String page = LossReport.of(result).html();
    Path report = output.resolve("report.html");
    Path aside = output.resolve("report.html.unfinished");
    files.write(aside, out -> out.write(page.getBytes(StandardCharsets.UTF_8)));
    files.rename(aside, report);
    ModelFolder.write(source, output, model.parameters(), files);
    return result;
  }

  /** Adds up the time of steps. */
  private static final class Clock implements TrainingObserver {
    private final TrainingObserver next;
    private long last = System.nanoTime();
    private long nanos;
    private int steps;

    Clock(TrainingObserver next) {
      this.next = next;
    }

    @Override
    public void stepped(int step, TrainingState.Point point, long peakBytes) {
      long now = System.nanoTime();
      nanos += now - last;
      last = now;
      steps++;
      next.stepped(step, point, peakBytes);
    }

    @Override
    public void scored(int sequences) {
      last = System.nanoTime();
      next.scored(sequences);
    }
  }

  /** SHA-256 of all weights. */
  private static String digest(List<Parameter> parameters) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (Parameter parameter : parameters) {
        ByteBuffer bytes = ByteBuffer.allocate(rowBytes(parameter));
        for (int first = 0; first < parameter.elements(); first += bytes.capacity() / Float.BYTES) {
          bytes.clear();
          int count = bytes.capacity() / Float.BYTES;
          bytes.asFloatBuffer().put(parameter.value().slice(first, count));
          digest.update(bytes);
        }
      }

      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java has SHA-256", e);
    }
  }

  private static int rowBytes(Parameter parameter) {
    return Math.toIntExact(parameter.shape().get(parameter.shape().size() - 1)) * Float.BYTES;
  }
}
