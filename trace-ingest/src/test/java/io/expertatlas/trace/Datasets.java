package io.expertatlas.trace;

import io.expertatlas.trace.parquet.DatasetFolder;
import java.io.IOException;
import java.nio.file.Path;

/** Datasets for the tests of other modules, which import no engine of this one. */
public final class Datasets {
  private Datasets() {}

  /** Writes a trace to a folder, so many tokens a part. */
  public static void write(Path folder, RoutingTrace trace, int partTokens) throws IOException {
    DatasetFolder.write(folder, trace, partTokens);
  }

  /** Writes a trace so many times over, each time in parts of so many tokens. */
  public static void writeRepeated(Path folder, RoutingTrace trace, int partTokens, int times)
      throws IOException {
    DatasetFolder.writeRepeated(folder, trace, partTokens, times);
  }

  /** Writes a trace so many times over as one part. */
  public static void writeGiant(Path folder, RoutingTrace trace, int times) throws IOException {
    DatasetFolder.writeGiant(folder, trace, times);
  }
}
