package io.expertatlas.trace.parquet;

import io.expertatlas.trace.RoutingTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.LocalOutputFile;

/** Part files of small row groups, which only very long parts have otherwise. */
public final class RowGroups {
  private RowGroups() {}

  public static void rewrite(Path file, RoutingTrace trace, int rows) throws IOException {
    Files.delete(file);
    try (DatasetPartWriter writer =
        new DatasetPartWriter(new LocalOutputFile(file), trace.shape(), trace.hasWeights(), rows)) {
      writer.write(trace, 0);
    }
  }

  public static int count(Path file) throws IOException {
    try (ParquetFileReader reader = ParquetFileReader.open(new LocalInputFile(file))) {
      return reader.getRowGroups().size();
    }
  }
}
