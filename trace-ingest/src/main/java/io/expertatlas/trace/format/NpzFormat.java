package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import io.expertatlas.trace.input.ZipArchive;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Format {@code npz}: numpy's zip archive of arrays, stored ({@code savez}) or deflated ({@code
 * savez_compressed}). One array holds expert ids, as in format {@code npy}: the only one, or the
 * one that option {@code array} names.
 */
public final class NpzFormat implements TraceFormat {
  private static final String END = ".npy";
  private static final FormatOption<String> ARRAY =
      FormatOption.text("array", "Which array of the archive holds the expert ids.");

  /** For {@link java.util.ServiceLoader}. */
  public NpzFormat() {}

  @Override
  public String name() {
    return "npz";
  }

  @Override
  public List<FormatOption<?>> options() {
    return List.of(ARRAY);
  }

  @Override
  public boolean recognizes(TraceSource source) {
    if (!Files.isRegularFile(source.path())) {
      return false;
    }

    if (InputFiles.plainName(source.path()).endsWith(".npz")) {
      return true;
    }

    if (!ZipArchive.isArchive(source.path())) {
      return false;
    }

    try (ZipArchive archive = ZipArchive.open(source.path())) {
      return !archive.names().isEmpty()
          && archive.names().stream().allMatch(name -> name.endsWith(END));
    } catch (IOException | TraceFormatException e) {
      return false; // not readable: whoever opens it says why
    }
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    if (InputFiles.isCompressed(source.path())) {
      return false;
    }

    try (ZipArchive archive = ZipArchive.open(source.path())) {
      return archive.isStored(member(archive, source));
    } catch (IOException e) {
      throw cannotRead(source.path(), e);
    }
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    if (!Files.isRegularFile(source.path())) {
      throw new TraceFormatException(
          "Cannot read expert ids from %s: %s"
              .formatted(
                  source.path(), Files.exists(source.path()) ? "not a file" : "no such file"));
    }

    NpyFile experts;
    try {
      ZipArchive archive = ZipArchive.open(source.path());
      try {
        String member = member(archive, source);
        experts =
            NpyFile.open(
                source.path().resolve(ZipArchive.printable(member)),
                archive.lastMember(member),
                "expert ids");
      } catch (IOException | RuntimeException e) {
        archive.close();
        throw e;
      }
    } catch (IOException e) {
      throw cannotRead(source.path(), e);
    }

    return NpyFormat.read(source, range, experts);
  }

  private static String member(ZipArchive archive, TraceSource source) {
    List<String> arrays = archive.names().stream().filter(name -> name.endsWith(END)).toList();
    List<String> names =
        arrays.stream().map(name -> name.substring(0, name.length() - END.length())).toList();
    Optional<String> wanted = source.options().find(ARRAY);
    if (wanted.isPresent()) {
      if (!names.contains(wanted.get())) {
        throw new TraceFormatException(
            "Missing array %s in %s: it has %s"
                .formatted(wanted.get(), source.path(), shown(names)));
      }

      return wanted.get() + END;
    }

    if (arrays.size() != 1) {
      throw new TraceFormatException(
          arrays.isEmpty()
              ? "Cannot read expert ids from %s: it has no array, but members %s"
                  .formatted(source.path(), shown(archive.names()))
              : "Cannot tell which array of %s holds expert ids: %s. Maybe add --format-option array=%s"
                  .formatted(source.path(), shown(names), ZipArchive.printable(names.get(0))));
    }

    return arrays.get(0);
  }

  private static List<String> shown(List<String> names) {
    return names.stream().limit(20).map(ZipArchive::printable).toList();
  }

  private static UncheckedIOException cannotRead(Path path, IOException e) {
    return new UncheckedIOException(
        "Cannot read expert ids from %s: %s".formatted(path, e.getMessage()), e);
  }
}
