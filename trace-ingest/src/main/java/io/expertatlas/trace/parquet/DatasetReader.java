package io.expertatlas.trace.parquet;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import java.nio.file.Path;
import java.util.Optional;

/** Reads a range of the tokens of a dataset, one part after the other. */
final class DatasetReader implements TraceReader {
  private final Path folder;
  private final TraceManifest manifest;
  private final TokenRange range;
  private int nextPart;
  private long firstOfNextPart; // token index of its first row
  private Optional<DatasetPartReader> part = Optional.empty();

  DatasetReader(Path folder, TraceManifest manifest, TokenRange range) {
    this.folder = folder;
    this.manifest = manifest;
    this.range = range;
  }

  @Override
  public ModelShape shape() {
    return manifest.shape();
  }

  @Override
  public long tokens() {
    return manifest.tokens();
  }

  @Override
  public boolean hasWeights() {
    return manifest.weights();
  }

  @Override
  public Optional<RoutingTrace> next() {
    while (true) {
      if (part.isPresent()) {
        Optional<RoutingTrace> batch = part.get().next();
        if (batch.isPresent()) {
          return batch;
        }

        close();
      }

      if (nextPart == manifest.parts().size() || firstOfNextPart >= range.to()) {
        return Optional.empty();
      }

      Part next = manifest.parts().get(nextPart++);
      long first = firstOfNextPart;
      firstOfNextPart += next.rows();
      long from = Math.max(range.from() - first, 0);
      long to = Math.min(range.to() - first, next.rows());
      if (from < to) {
        part =
            Optional.of(
                new DatasetPartReader(folder.resolve(next.file()), manifest, next, from, to));
      }
    }
  }

  @Override
  public void close() {
    part.ifPresent(DatasetPartReader::close);
    part = Optional.empty();
  }
}
