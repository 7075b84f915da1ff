package io.expertatlas.trace.spark;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A folder that is written aside, under a hidden name beside its target, and renamed when it is
 * complete. Closed before that, it disappears, also if the JVM is interrupted.
 */
final class OutputFolder implements AutoCloseable {
  private final Path target;
  private final Path aside;
  private final boolean overwrite;
  private final Thread atExit = new Thread(this::deleteQuietly, "delete-unfinished-dataset");

  private OutputFolder(Path target, Path aside, boolean overwrite) {
    this.target = target;
    this.aside = aside;
    this.overwrite = overwrite;
    Runtime.getRuntime().addShutdownHook(atExit);
  }

  private void deleteQuietly() {
    try {
      delete(aside);
    } catch (IOException | UncheckedIOException e) {
      // The JVM was told to stop, and tasks may still be writing: nobody is left to hear of it.
    }
  }

  /**
   * Creates the folder aside.
   *
   * @throws TraceFormatException if the target exists and is not to be replaced, or is no dataset
   */
  static OutputFolder create(Path output, boolean overwrite) throws IOException {
    Path target = output.toAbsolutePath().normalize();
    check(output, target, overwrite);
    Path parent = target.getParent();
    if (parent == null || !Files.isDirectory(parent)) {
      throw new TraceFormatException(
          "Cannot write %s: the folder %s does not exist".formatted(output, parent));
    }

    Path aside =
        Files.createDirectory( // not a private one: executors may run as another user
            parent.resolve(".%s.tmp-%s".formatted(target.getFileName(), UUID.randomUUID())));
    return new OutputFolder(target, aside, overwrite);
  }

  private static void check(Path output, Path target, boolean overwrite) {
    if (!Files.exists(target)) {
      return;
    }

    if (!overwrite) {
      throw new TraceFormatException(
          "Cannot write %s: it exists already. Maybe add --overwrite".formatted(output));
    }

    if (!Files.isRegularFile(target.resolve(TraceManifest.FILE))) {
      throw new TraceFormatException(
          "Cannot overwrite %s: it is no routing-trace dataset (no %s in it)"
              .formatted(output, TraceManifest.FILE));
    }
  }

  Path path() {
    return aside;
  }

  /** Gives the folder its name. */
  void publish() throws IOException {
    if (!Files.exists(target)) {
      Files.move(aside, target, StandardCopyOption.ATOMIC_MOVE);
      return;
    }

    check(target, target, overwrite); // it may have appeared meanwhile
    Path old = aside.resolveSibling(aside.getFileName() + ".old");
    Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
    try {
      Files.move(aside, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      Files.move(old, target, StandardCopyOption.ATOMIC_MOVE);
      throw e;
    }

    delete(old);
  }

  @Override
  public void close() throws IOException {
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException e) {
      return; // interrupted: the hook deletes
    }

    if (Files.exists(aside)) {
      delete(aside);
    }
  }

  private static void delete(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }

    try (Stream<Path> children = Files.walk(folder)) {
      for (Path child : children.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(child);
      }
    }
  }
}
