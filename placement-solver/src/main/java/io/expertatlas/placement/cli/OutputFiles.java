package io.expertatlas.placement.cli;

import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.trace.files.OutputFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;

/** The folder that {@code place} writes. */
final class OutputFiles {
  static final String JSON = "placement.json";
  static final String CSV = "placement.csv";
  private static final Pattern FILES = Pattern.compile("placement\\.json|.*\\.csv");

  private OutputFiles() {}

  static OutputFolder folder(Path path, boolean overwrite) {
    return new OutputFolder(path, overwrite, "placement folder", FILES);
  }

  /** Writes both files into a folder. */
  static void write(Path folder, boolean exflowName, PlacementDocument document, PlacementCost cost)
      throws IOException {
    String csv = exflowName ? ExFlowCsv.fileName(cost) : CSV;
    ExFlowCsv.write(document.placement(), folder.resolve(csv));
    Files.writeString(folder.resolve(JSON), PlacementParser.toJson(document));
  }
}
