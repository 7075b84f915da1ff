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
}
