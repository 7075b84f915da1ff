package io.expertatlas.placement.cli;

import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.format.PlacementFormats;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.trace.files.OutputFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The folder that {@code place} writes. */
final class OutputFiles {
  static final String JSON = "placement.json";
  static final String CSV = "placement.csv";
  private static final Pattern FILES =
      Pattern.compile(
          Stream.concat(
                  Stream.of("placement\\.json", "fit\\.json", "moves\\.json", ".*\\.csv"),
                  PlacementFormats.all().stream().map(format -> Pattern.quote(format.fileName())))
              .collect(Collectors.joining("|")));

  private static final Pattern FRONT_FILES =
      Pattern.compile("front\\.json|front\\.html|point-\\d+\\.json");

  private OutputFiles() {}

  /** The folder of a front. */
  static OutputFolder front(Path path, boolean overwrite) {
    return new OutputFolder(path, overwrite, "folder of a front", FRONT_FILES);
  }

  static OutputFolder folder(Path path, boolean overwrite) {
    return new OutputFolder(path, overwrite, "placement folder", FILES);
  }

  /**
   * Writes the csv, the json and files of engines by their names into a folder; no csv if experts
   * have copies.
   */
  static void write(
      Path folder,
      boolean exflowName,
      PlacementDocument document,
      PlacementCost cost,
      Map<String, byte[]> exports)
      throws IOException {
    if (!document.placement().hasCopies()) {
      String csv = exflowName ? ExFlowCsv.fileName(cost) : CSV;
      ExFlowCsv.write(document.placement(), folder.resolve(csv));
    }

    Files.writeString(folder.resolve(JSON), PlacementParser.toJson(document));
    for (Map.Entry<String, byte[]> export : exports.entrySet()) {
      Files.write(folder.resolve(export.getKey()), export.getValue());
    }
  }
}
