package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputBytes;
import io.expertatlas.trace.input.InputFiles;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/** The lines of a UTF-8 file that are not blank, from any byte on; says where each begins. */
final class LineFile implements Closeable {
  private static final int MAX_LINE = 1 << 26;

  private final Path path;
  private final InputBytes bytes;
  private final ByteBuffer buffer = ByteBuffer.allocate(1 << 16).limit(0);
  private byte[] line = new byte[1 << 10];
  private long read; // byte behind those in the buffer
  private long next; // byte at which the next line begins
  private long number; // of the line read last, from 1

  private LineFile(Path path, InputBytes bytes) {
    this.path = path;
    this.bytes = bytes;
  }

  /** Opens a file at its start. */
  static LineFile open(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new TraceFormatException(
          "Cannot read %s: %s".formatted(path, Files.exists(path) ? "not a file" : "no such file"));
    }

    try {
      return new LineFile(path, InputFiles.open(path));
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  /**
   * Goes on at another place.
   *
   * @param offset byte at which a line begins
   * @param linesBefore number of lines before it
   */
  void seek(long offset, long linesBefore) {
    number = linesBefore;
    if (offset != next) {
      next = offset;
      read = offset;
      buffer.limit(0);
    }
  }

  /** Number of the line that was read last, from 1. */
  long number() {
    return number;
  }

  /** Byte behind the line that was read last. */
  long offset() {
    return next;
  }

  /** The next line that is not blank, or empty at the end. */
  Optional<String> read() {
    try {
      while (true) {
        int length = 0;
        boolean ended = false;
        while (!ended) {
          if (!buffer.hasRemaining()) {
            buffer.clear();
            int found = bytes.read(read, buffer);
            read += found;
            buffer.flip();
            if (found == 0) {
              buffer.limit(0);
              break;
            }
          }

          byte value = buffer.get();
          next++;
          if (value == '\n') {
            ended = true;
          } else {
            if (length == line.length) {
              grow();
            }

            line[length++] = value;
          }
        }

        if (length == 0 && !ended) {
          return Optional.empty();
        }

        number++;
        String text = decode(length);
        if (!text.isBlank()) {
          return Optional.of(text);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read %s at byte %d: %s".formatted(path, next, e.getMessage()), e);
    }
  }

  private void grow() {
    if (line.length >= MAX_LINE) {
      throw new TraceFormatException(
          "Invalid line %d in %s: longer than %d bytes".formatted(number + 1, path, MAX_LINE));
    }

    line = Arrays.copyOf(line, 2 * line.length);
  }

  private String decode(int length) {
    int end = length > 0 && line[length - 1] == '\r' ? length - 1 : length;
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(line, 0, end)).toString();
    } catch (CharacterCodingException e) {
      throw new TraceFormatException(
          "Invalid line %d in %s: it is not UTF-8".formatted(number, path), e);
    }
  }

  @Override
  public void close() {
    Closing.quietly(java.util.List.of(bytes));
  }
}
