package io.expertatlas.trace.parquet;

import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifestParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Format {@code dataset}: a routing-trace dataset. The size of every part is compared with the
 * manifest when it is opened, its rows, its columns and the CRC of its pages when it is read; the
 * SHA-256 is left to {@code atlas inspect}.
 */
public final class DatasetFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public DatasetFormat() {}

  @Override
  public String name() {
    return "dataset";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return Files.isRegularFile(source.path().resolve(TraceManifest.FILE));
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    TraceManifest manifest = TraceManifestParser.read(source.path());
    if (source.sequences().isPresent() || source.positions().isPresent()) {
      throw new TraceFormatException(
          "Cannot use --sequence-file or --position-file with dataset %s: it has its own"
              .formatted(source.path()));
    }

    int experts = manifest.shape().experts();
    if (source.experts().orElse(experts) != experts) {
      throw new TraceFormatException(
          "Invalid number of experts: %d by --experts, %d by the manifest of %s"
              .formatted(source.experts().getAsInt(), experts, source.path()));
    }

    for (Part part : manifest.parts()) {
      checkSize(source.path().resolve(part.file()), part);
    }

    return new DatasetReader(source.path(), manifest, range);
  }

  private static void checkSize(Path file, Part part) {
    try {
      if (!Files.isRegularFile(file)) {
        throw new TraceFormatException(
            "Missing part of the dataset: %s, which its manifest names".formatted(file));
      }

      if (Files.size(file) != part.bytes()) {
        throw new TraceFormatException(
            "Invalid part of the dataset: %s has %d bytes, by the manifest %d"
                .formatted(file, Files.size(file), part.bytes()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(file, e.getMessage()), e);
    }
  }
}
