package io.expertatlas.trace.files;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.UUID;

/**
 * Writes files and folders beside their place and renames them when they are complete, so that no
 * half-written output is ever found. What was begun is deleted on failure, also if the JVM is told
 * to stop. Stateless.
 */
public final class WrittenAside {
  private WrittenAside() {}

  /** Fills a file or a folder. */
  @FunctionalInterface
  public interface Content {
    /** Writes to a path: a file that does not exist, or an empty folder. */
    void writeTo(Path path) throws IOException;
  }

  /**
   * Writes a file; one that exists is replaced.
   *
   * @throws IOException if it cannot be written; what was there stays
   */
  public static void file(Path file, Content content) throws IOException {
    Path aside = sibling(file);
    deletingAtExit(
        aside,
        () -> {
          content.writeTo(aside);
          Files.move(aside, file, StandardCopyOption.REPLACE_EXISTING);
        });
  }

  /**
   * Writes a folder that does not exist yet.
   *
   * @throws FileAlreadyExistsException if it exists
   * @throws IOException if it cannot be written
   */
  public static void folder(Path folder, Content content) throws IOException {
    if (Files.exists(folder)) {
      throw new FileAlreadyExistsException(folder.toString());
    }

    Path aside = sibling(folder);
    deletingAtExit(
        aside,
        () -> {
          Files.createDirectory(aside);
          content.writeTo(aside);
          Files.move(aside, folder);
        });
  }

  /**
   * Writes a folder; one that exists is replaced once the new one is complete.
   *
   * @throws IOException if it cannot be written; what was there stays
   */
  public static void replaceFolder(Path folder, Content content) throws IOException {
    if (!Files.exists(folder)) {
      folder(folder, content);
      return;
    }

    Path aside = sibling(folder);
    Path old = sibling(folder);
    deletingAtExit(
        aside,
        () -> {
          Files.createDirectory(aside);
          content.writeTo(aside);
          Files.move(folder, old);
          try {
            Files.move(aside, folder);
          } catch (IOException e) {
            Files.move(old, folder);
            throw e;
          }

          delete(old);
        });
  }

  private interface Work {
    void run() throws IOException;
  }

  /**
   * Works, then deletes what is left aside; so it is if the JVM stops in the midst. If it is
   * stopping already, whoever holds it up until the work is done sees to that.
   */
  private static void deletingAtExit(Path aside, Work work) throws IOException {
    Thread atExit =
        new Thread(
            () -> {
              try {
                delete(aside);
              } catch (IOException e) {
                // tasks may still be writing: nobody is left to hear of it
              }
            },
            "delete-unfinished-output");
    boolean isWatched = isAdded(atExit);
    try {
      work.run();
    } finally {
      try {
        if (isWatched) {
          Runtime.getRuntime().removeShutdownHook(atExit);
        }

        delete(aside);
      } catch (IllegalStateException e) {
        // the JVM is stopping: the hook deletes
      }
    }
  }

  /** False if the JVM is stopping already. */
  private static boolean isAdded(Thread atExit) {
    try {
      Runtime.getRuntime().addShutdownHook(atExit);
      return true;
    } catch (IllegalStateException e) {
      return false;
    }
  }

  private static Path sibling(Path path) throws IOException {
    Path absolute = path.toAbsolutePath().normalize();
    if (absolute.getParent() == null) {
      throw new FileAlreadyExistsException(absolute.toString());
    }

    if (!Files.isDirectory(absolute.getParent())) {
      if (Files.exists(absolute.getParent())) {
        throw new FileAlreadyExistsException(
            absolute.getParent().toString(), null, "it is not a folder");
      }

      throw new NoSuchFileException(absolute.getParent().toString());
    }

    return absolute.resolveSibling(
        ".%s.tmp-%s"
            .formatted(absolute.getFileName(), UUID.randomUUID().toString().substring(0, 8)));
  }

  private static void delete(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }

    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, IOException failure)
              throws IOException {
            Files.delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }
}
