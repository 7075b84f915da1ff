package io.expertatlas.trace.files;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A folder that a command is asked to write. It replaces nothing unless told to, and then only a
 * folder of its own kind.
 *
 * @param path the folder
 * @param overwrite whether it may replace an existing one
 * @param kind what it is called in messages: "routing-trace dataset"
 * @param names regular expression of the file names in a folder of this kind
 */
public record OutputFolder(Path path, boolean overwrite, String kind, Pattern names) {
  /** Checks that nothing is null. */
  public OutputFolder {
    Objects.requireNonNull(path, "path is null");
    Objects.requireNonNull(kind, "kind is null");
    Objects.requireNonNull(names, "names is null");
  }

  /**
   * Refuses what must not be written: to be called before the work, not after it.
   *
   * @throws IOException if the parent is no folder, or the path exists and may not be replaced
   */
  public void check() throws IOException {
    Path parent = path.toAbsolutePath().normalize().getParent();
    if (parent == null || !Files.isDirectory(parent)) {
      throw new IOException(
          "Cannot write %s: the folder %s does not exist".formatted(path, parent));
    }

    if (!Files.exists(path)) {
      return;
    }

    if (!overwrite) {
      throw new IOException(
          "Cannot write %s: it exists already. Maybe add --overwrite".formatted(path));
    }

    if (!Files.isDirectory(path)) {
      throw new IOException("Cannot overwrite %s: it is not a folder".formatted(path));
    }

    try (Stream<Path> files = Files.list(path)) {
      Optional<String> foreign =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> !names.matcher(name).matches())
              .sorted()
              .findFirst();
      if (foreign.isPresent()) {
        throw new IOException(
            "Cannot overwrite %s: it holds %s, which no %s has"
                .formatted(path, foreign.get(), kind));
      }
    }
  }

  /**
   * Fills the folder aside and gives it its name.
   *
   * @throws IOException if it cannot be written; what was there stays
   */
  public void write(WrittenAside.Content content) throws IOException {
    check();
    if (overwrite) {
      WrittenAside.replaceFolder(path, content);
    } else {
      WrittenAside.folder(path, content);
    }
  }
}
