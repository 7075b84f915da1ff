package io.expertatlas.placement.cli;

import io.expertatlas.affinity.WrittenAside;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementParser;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/** The folder that {@code place} writes. */
final class OutputFiles {
  static final String JSON = "placement.json";
  static final String CSV = "placement.csv";

  private OutputFiles() {}

  /**
   * Refuses a folder that may not be written, before any work is done.
   *
   * @throws IOException if it exists and may not be replaced, or holds anything but placements
   */
  static void check(Path folder, boolean overwrite) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }

    if (!overwrite) {
      throw new FileSystemException(
          folder.toString(), null, "it exists already. Maybe replace it with --overwrite");
    }

    if (!Files.isDirectory(folder)) {
      throw new FileSystemException(folder.toString(), null, "it is not a folder");
    }

    try (Stream<Path> files = Files.list(folder)) {
      Optional<Path> other =
          files
              .filter(f -> !f.getFileName().toString().matches("placement\\.json|.*\\.csv"))
              .findFirst();
      if (other.isPresent()) {
        throw new FileSystemException(
            folder.toString(),
            null,
            "it holds %s, which no placement folder has: not replaced"
                .formatted(other.get().getFileName()));
      }
    }
  }

  /** Writes the folder aside and renames it. */
  static void write(
      Path folder,
      boolean overwrite,
      boolean exflowName,
      PlacementDocument document,
      PlacementCost cost)
      throws IOException {
    check(folder, overwrite);
    WrittenAside.Content content =
        aside -> {
          String csv = exflowName ? ExFlowCsv.fileName(cost) : CSV;
          ExFlowCsv.write(document.placement(), aside.resolve(csv));
          Files.writeString(aside.resolve(JSON), PlacementParser.toJson(document));
        };
    if (overwrite) {
      WrittenAside.replaceFolder(folder, content);
    } else {
      WrittenAside.folder(folder, content);
    }
  }
}
