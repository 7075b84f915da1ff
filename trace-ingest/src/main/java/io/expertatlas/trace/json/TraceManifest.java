package io.expertatlas.trace.json;

import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.Objects;

/**
 * What a routing-trace dataset holds and where it came from.
 *
 * @param shape of the traced model
 * @param tokens rows of all parts
 * @param sequences distinct sequence ids
 * @param weights whether router weights are kept
 * @param createdBy program and version
 * @param sources inputs, in the order of their tokens
 * @param parts Parquet files, in the order of their tokens
 */
public record TraceManifest(
    ModelShape shape,
    long tokens,
    long sequences,
    boolean weights,
    String createdBy,
    List<Source> sources,
    List<Part> parts) {
  /** Version of the dataset format that this code reads and writes. */
  public static final int FORMAT_VERSION = 1;

  /** Name of the manifest in the dataset's folder. */
  public static final String FILE = "manifest.json";

  /**
   * Checks that the numbers fit each other.
   *
   * @throws IllegalArgumentException if a number is negative or sums differ
   */
  public TraceManifest {
    Objects.requireNonNull(shape, "shape is null");
    Objects.requireNonNull(createdBy, "createdBy is null");
    sources = List.copyOf(sources);
    parts = List.copyOf(parts);
    if (tokens < 0 || sequences < 0 || sequences > tokens) {
      throw new IllegalArgumentException(
          "Invalid counts: %d tokens in %d sequences".formatted(tokens, sequences));
    }

    long rows = parts.stream().mapToLong(Part::rows).sum();
    if (rows != tokens) {
      throw new IllegalArgumentException(
          "Invalid parts: they have %d rows, the dataset %d tokens".formatted(rows, tokens));
    }

    long read = sources.stream().mapToLong(Source::tokens).sum();
    if (read != tokens) {
      throw new IllegalArgumentException(
          "Invalid sources: they have %d tokens, the dataset %d".formatted(read, tokens));
    }
  }

  /**
   * An input of the dataset.
   *
   * @param name file or folder name, without the folders above it
   * @param format name of the format it was read with
   * @param tokens tokens taken from it
   * @param sequenceOffset what was added to its sequence ids
   * @param files the files read, {@link InputFile}
   */
  public record Source(
      String name, String format, long tokens, long sequenceOffset, List<InputFile> files) {
    /** Checks the numbers. */
    public Source {
      files = List.copyOf(files);
      if (tokens < 0 || sequenceOffset < 0) {
        throw new IllegalArgumentException(
            "Invalid source %s: %d tokens, sequence offset %d"
                .formatted(name, tokens, sequenceOffset));
      }
    }
  }

  /**
   * A file that was read.
   *
   * @param name file name
   * @param bytes size
   * @param sha256 SHA-256 of its content, 64 hexadecimal digits
   */
  public record InputFile(String name, long bytes, String sha256) {}

  /**
   * A Parquet file of the dataset.
   *
   * @param file name in the dataset's folder
   * @param rows tokens in it
   * @param bytes size
   * @param sha256 SHA-256 of its content, 64 hexadecimal digits
   */
  public record Part(String file, long rows, long bytes, String sha256) {
    /** Checks that the name stays in the folder and the numbers are not negative. */
    public Part {
      if (!file.matches("[A-Za-z0-9_][A-Za-z0-9_.-]*") || rows < 0 || bytes < 0) {
        throw new IllegalArgumentException(
            "Invalid part: '%s' with %d rows, %d bytes".formatted(file, rows, bytes));
      }
    }
  }
}
