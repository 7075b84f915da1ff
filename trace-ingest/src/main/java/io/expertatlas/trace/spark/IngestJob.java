package io.expertatlas.trace.spark;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.job.SparkApplication;
import io.expertatlas.trace.job.SparkStage;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.InputFile;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifest.Source;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.spark.IngestTasks.Hashed;
import io.expertatlas.trace.spark.IngestTasks.Task;
import io.expertatlas.trace.spark.IngestTasks.Written;
import io.expertatlas.trace.terminal.StageProgress;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Turns dumps into one routing-trace dataset. Executors read splits of the inputs through {@link
 * io.expertatlas.trace.TraceFormat} and write one part file each, so inputs and output lie on a
 * file system that the driver and all executors mount at the same path.
 *
 * <p>The order of the tokens is that of the inputs: part numbers follow it. With several inputs,
 * the sequence ids of each are moved past those of the inputs before it; the manifest says by how
 * much. The dataset appears complete under its name or not at all.
 */
public final class IngestJob {
  private static final Pattern FILES =
      Pattern.compile(Pattern.quote(TraceManifest.FILE) + "|part-\\d+\\.parquet");

  private static final String CREATED_BY = "ExpertAtlas 0.1.0";

  private final JavaSparkContext spark;
  private final boolean overwrite;
  private final SparkStage stage;

  /**
   * Creates the job.
   *
   * @param spark stays open
   * @param overwrite whether an existing dataset is replaced
   * @param progress is told how far the job is
   */
  public IngestJob(JavaSparkContext spark, boolean overwrite, StageProgress progress) {
    this.spark = spark;
    this.overwrite = overwrite;
    this.stage = new SparkStage(spark, progress);
  }

  /**
   * Runs the job in a Spark application of its own; see {@link #run(List, Path)}.
   *
   * @param master Spark master; empty: what spark-submit says, else all cores of this machine
   */
  public static TraceManifest runAlone(
      String master,
      List<TraceSource> sources,
      Path output,
      boolean overwrite,
      StageProgress progress) {
    try (JavaSparkContext spark = SparkApplication.start("ExpertAtlas ingest", master)) {
      return new IngestJob(spark, overwrite, progress).run(sources, output);
    }
  }

  /**
   * Runs the job.
   *
   * @param sources at least one, of one model
   * @param output folder of the dataset
   * @return the manifest, as written
   * @throws TraceFormatException if an input is broken or inputs do not go together
   * @throws UncheckedIOException if the output exists or cannot be written
   */
  public TraceManifest run(List<TraceSource> sources, Path output) {
    List<TraceSource> absolute = sources.stream().map(TraceSource::absolute).toList();
    OutputFolder folder = new OutputFolder(output, overwrite, "routing-trace dataset", FILES);
    List<TraceManifest> manifest = new ArrayList<>();
    try {
      folder.write(aside -> manifest.add(fill(aside, absolute)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }

    return manifest.get(0);
  }

  private TraceManifest fill(Path folder, List<TraceSource> sources) throws IOException {
    Path absolute = folder.toAbsolutePath(); // executors may work elsewhere
    IngestPlan plan = IngestPlan.of(sources);
    List<Integer> offsets = sequenceOffsets(plan);
    List<Written> written = write(plan, offsets, absolute);
    TraceManifest manifest = manifest(plan, offsets, written, hash(plan));
    Files.writeString(absolute.resolve(TraceManifest.FILE), TraceManifestParser.toJson(manifest));
    return manifest;
  }

  /** What is added to the sequence ids of each input. One input needs no look at its sequences. */
  private List<Integer> sequenceOffsets(IngestPlan plan) {
    List<Integer> offsets = new ArrayList<>(List.of(0));
    if (plan.sources().size() == 1) {
      return offsets;
    }

    List<Task> tasks = tasks(plan, offsets, Path.of(""));
    List<SequenceIds> found =
        tasks.isEmpty()
            ? List.of()
            : stage.run(
                "Look for sequences",
                tasks.size(),
                () -> spark.parallelize(tasks, tasks.size()).map(IngestTasks::scan).collect());
    long next = 0;
    for (int source = 0; source < plan.sources().size(); source++) {
      if (next > Integer.MAX_VALUE) {
        throw new TraceFormatException(
            "Cannot make sequence ids unique: those of %s would exceed %d"
                .formatted(plan.sources().get(source).path(), Integer.MAX_VALUE));
      }

      if (source > 0) {
        offsets.add((int) next);
      }

      int max = -1;
      for (int i = 0; i < found.size(); i++) {
        if (plan.splits().get(i).source() == source) {
          max = Math.max(max, found.get(i).max());
        }
      }

      if (next + max > Integer.MAX_VALUE) {
        throw new TraceFormatException(
            "Cannot make sequence ids unique: %d of %s, moved by %d, exceeds %d"
                .formatted(max, plan.sources().get(source).path(), next, Integer.MAX_VALUE));
      }

      next += max + 1L;
    }

    return offsets;
  }

  private static List<Task> tasks(IngestPlan plan, List<Integer> offsets, Path folder) {
    List<Task> tasks = new ArrayList<>();
    for (int i = 0; i < plan.splits().size(); i++) {
      IngestPlan.Split split = plan.splits().get(i);
      int source = split.source();
      tasks.add(
          new Task(
              IngestTasks.Source.of(plan.sources().get(source), plan.formats().get(source)),
              split.range().from(),
              split.range().to(),
              folder.resolve("part-%05d.parquet".formatted(i)).toString(),
              source < offsets.size() ? offsets.get(source) : 0));
    }

    return tasks;
  }

  private List<Written> write(IngestPlan plan, List<Integer> offsets, Path folder)
      throws IOException {
    List<Task> tasks = tasks(plan, offsets, folder);
    if (tasks.isEmpty()) {
      return List.of(IngestTasks.writeEmpty(folder, plan.shape(), plan.weights()));
    }

    return stage.run(
        "Write parts",
        tasks.size(),
        () ->
            spark
                .parallelize(tasks, tasks.size())
                .map(task -> IngestTasks.write(task, TaskContext.get().taskAttemptId()))
                .collect());
  }

  private List<List<InputFile>> hash(IngestPlan plan) throws IOException {
    List<String> names = new ArrayList<>();
    List<Integer> sizes = new ArrayList<>();
    for (TraceSource source : plan.sources()) {
      List<Path> files = IngestTasks.files(source);
      files.forEach(file -> names.add(file.toString()));
      sizes.add(files.size());
    }

    List<Hashed> hashed =
        stage.run(
            "Checksum inputs",
            names.size(),
            () -> spark.parallelize(names, names.size()).map(IngestTasks::hash).collect());
    List<List<InputFile>> bySource = new ArrayList<>();
    int at = 0;
    for (int size : sizes) {
      bySource.add(hashed.subList(at, at + size).stream().map(Hashed::inputFile).toList());
      at += size;
    }

    return bySource;
  }

  private static TraceManifest manifest(
      IngestPlan plan, List<Integer> offsets, List<Written> written, List<List<InputFile>> files) {
    List<Source> sources = new ArrayList<>();
    long sequences = 0;
    for (int i = 0; i < plan.sources().size(); i++) {
      sources.add(
          new Source(
              plan.sources().get(i).path().getFileName().toString(),
              plan.formats().get(i),
              plan.tokens().get(i),
              offsets.get(i),
              files.get(i)));
      SequenceIds ids = new SequenceIds();
      for (int split = 0; split < plan.splits().size(); split++) {
        if (plan.splits().get(split).source() == i) {
          ids.addAll(written.get(split).sequences());
        }
      }

      sequences += ids.size();
    }

    List<Part> parts = written.stream().map(Written::part).toList();
    return new TraceManifest(
        plan.shape(), plan.totalTokens(), sequences, plan.weights(), CREATED_BY, sources, parts);
  }
}
