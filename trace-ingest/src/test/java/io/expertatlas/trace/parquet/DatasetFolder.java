package io.expertatlas.trace.parquet;

import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifest.Source;
import io.expertatlas.trace.json.TraceManifestParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.parquet.column.ParquetProperties;
import org.apache.parquet.hadoop.ParquetFileWriter;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.LocalOutputFile;

/** Writes datasets for tests, without Spark. */
public final class DatasetFolder {
  private DatasetFolder() {}

  /** Writes a trace to a folder, so many tokens a part. */
  public static TraceManifest write(Path folder, RoutingTrace trace, int partTokens)
      throws IOException {
    return write(folder, trace, partTokens, Integer.MAX_VALUE);
  }

  /** Writes a trace to a folder, so many tokens a part and at most so many a row group. */
  public static TraceManifest write(
      Path folder, RoutingTrace trace, int partTokens, int rowGroupRows) throws IOException {
    Files.createDirectories(folder);
    boolean weights = trace.hasWeights();
    List<Part> parts = new ArrayList<>();
    for (int from = 0; from < trace.tokens(); from += partTokens) {
      String name = "part-%05d.parquet".formatted(parts.size());
      try (DatasetPartWriter writer =
          new DatasetPartWriter(
              new LocalOutputFile(folder.resolve(name)), trace.shape(), weights, rowGroupRows)) {
        writer.write(trace.slice(from, Math.min(trace.tokens(), from + partTokens)), 0);
        parts.add(writer.finish(name));
      }
    }

    Set<Integer> sequences = new HashSet<>();
    for (int token = 0; token < trace.tokens(); token++) {
      sequences.add(trace.sequence(token));
    }

    TraceManifest manifest =
        new TraceManifest(
            trace.shape(),
            trace.tokens(),
            sequences.size(),
            weights,
            "test",
            List.of(new Source("memory", "none", trace.tokens(), 0, List.of())),
            parts);
    Files.writeString(folder.resolve(TraceManifest.FILE), TraceManifestParser.toJson(manifest));
    return manifest;
  }

  /**
   * Writes a trace so many times over: its parts once, then copies of their files. All copies have
   * the same sequence ids.
   */
  public static TraceManifest writeRepeated(
      Path folder, RoutingTrace trace, int partTokens, int times) throws IOException {
    TraceManifest once = write(folder, trace, partTokens);
    List<Part> parts = new ArrayList<>(once.parts());
    for (int copy = 1; copy < times; copy++) {
      for (Part part : once.parts()) {
        String name = "part-%05d.parquet".formatted(parts.size());
        Files.copy(folder.resolve(part.file()), folder.resolve(name));
        parts.add(new Part(name, part.rows(), part.bytes(), part.sha256()));
      }
    }

    long tokens = once.tokens() * times;
    TraceManifest manifest =
        new TraceManifest(
            once.shape(),
            tokens,
            once.sequences(),
            once.weights(),
            once.createdBy(),
            List.of(new Source("memory", "none", tokens, 0, List.of())),
            parts);
    Files.writeString(folder.resolve(TraceManifest.FILE), TraceManifestParser.toJson(manifest));
    return manifest;
  }

  /** Writes a trace so many times over as one part: its row groups once, then copies of them. */
  public static TraceManifest writeGiant(Path folder, RoutingTrace trace, int times)
      throws IOException {
    TraceManifest once = write(folder, trace, Math.max(1, trace.tokens()));
    Path part = folder.resolve(once.parts().get(0).file());
    HashedOutputFile giant = new HashedOutputFile(new LocalOutputFile(folder.resolve("giant")));
    ParquetFileWriter writer =
        new ParquetFileWriter(
            giant,
            DatasetSchema.of(trace.shape(), trace.hasWeights()),
            ParquetFileWriter.Mode.OVERWRITE,
            ParquetWriter.DEFAULT_BLOCK_SIZE,
            0,
            null, // not encrypted
            ParquetProperties.builder().build());
    writer.start();
    for (int copy = 0; copy < times; copy++) {
      writer.appendFile(new LocalInputFile(part));
    }

    writer.end(Map.of());
    Files.move(folder.resolve("giant"), part, StandardCopyOption.REPLACE_EXISTING);
    long tokens = (long) trace.tokens() * times;
    TraceManifest manifest =
        new TraceManifest(
            once.shape(),
            tokens,
            once.sequences(),
            once.weights(),
            once.createdBy(),
            List.of(new Source("memory", "none", tokens, 0, List.of())),
            List.of(
                new Part(part.getFileName().toString(), tokens, giant.bytes(), giant.sha256())));
    Files.writeString(folder.resolve(TraceManifest.FILE), TraceManifestParser.toJson(manifest));
    return manifest;
  }
}
