package io.expertatlas.placement.cli;

import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.json.AffinitySummaryParser;
import io.expertatlas.placement.json.PlacementDocument.Source;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What affinity folders say of themselves. */
final class FitSource {
  private FitSource() {}

  /** The names of all folders, and what the last one says of itself. */
  static Source of(List<Path> folders) throws IOException {
    List<String> names = folders.stream().map(Path::toString).toList();
    Path summary = folders.get(folders.size() - 1).resolve("summary.json");
    if (!Files.exists(summary)) {
      return new Source(names, "", "", "");
    }

    AffinitySummary found = summary(summary);
    return new Source(
        names,
        found.trace(),
        found.selection().tokens().toString(),
        found.selection().sequences().toString());
  }

  private static AffinitySummary summary(Path file) throws IOException {
    try {
      return AffinitySummaryParser.fromJson(Files.readString(file));
    } catch (AffinityFormatException | CharacterCodingException e) {
      throw new AffinityFormatException("Cannot read %s: %s".formatted(file, e.getMessage()), e);
    }
  }
}
