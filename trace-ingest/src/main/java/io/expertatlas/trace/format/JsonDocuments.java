package io.expertatlas.trace.format;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputBytes;
import io.expertatlas.trace.input.InputFiles;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The JSON objects of a file: one on each line, one after the other, or the elements of one array.
 * They are read one at a time, the first time in order, later at their byte offsets, in a
 * compressed file too, which is decompressed a second time for that, and only once; memory grows
 * with the largest of them.
 */
final class JsonDocuments implements Closeable {
  private final Path path;
  private Optional<InputBytes> again = Optional.empty(); // for reading by place

  JsonDocuments(Path path) {
    this.path = path;
  }

  /** Where a document begins. */
  record Place(Path path, int line, long offset) {
    @Override
    public String toString() {
      return "%s, line %d".formatted(path, line);
    }
  }

  /** Takes a document. */
  interface Visitor {
    void visit(Place place, JsonNode document);
  }

  /** Reads all documents in order. */
  void forEach(Visitor visitor) {
    if (!Files.isRegularFile(path)) {
      throw new TraceFormatException(
          "Cannot read %s: %s".formatted(path, Files.exists(path) ? "not a file" : "no such file"));
    }

    try (InputStream in = InputFiles.stream(path);
        JsonParser parser = Json.SEQUENCES.createParser(in)) {
      boolean first = true;
      boolean array = false;
      for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
        if (token == JsonToken.START_ARRAY && first && !array) {
          array = true;
          continue;
        }

        if (token == JsonToken.END_ARRAY && array) {
          if (parser.nextToken() != null) {
            throw new TraceFormatException(
                "Invalid JSON in %s, line %d: text behind the array"
                    .formatted(path, parser.currentTokenLocation().getLineNr()));
          }

          return;
        }

        Place place =
            new Place(
                path,
                parser.currentTokenLocation().getLineNr(),
                parser.currentTokenLocation().getByteOffset());
        if (place.offset() < 0) {
          throw new TraceFormatException("Invalid JSON in %s: it is not UTF-8".formatted(path));
        }

        if (token != JsonToken.START_OBJECT) {
          throw new TraceFormatException(
              "Invalid JSON in %s: %s where an object was expected"
                  .formatted(place, token.isStructStart() ? "an array" : parser.getText()));
        }

        JsonNode document = parser.readValueAsTree();
        visitor.visit(place, document);
        first = false;
      }
    } catch (JsonProcessingException e) {
      throw invalid(e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  private TraceFormatException invalid(JsonProcessingException e) {
    return new TraceFormatException(
        "Invalid JSON in %s%s: %s"
            .formatted(
                path,
                e.getLocation() == null ? "" : ", line " + e.getLocation().getLineNr(),
                e.getOriginalMessage()),
        e);
  }

  /** Reads one document of this file again. */
  JsonNode read(Place place) {
    try {
      if (again.isEmpty()) {
        again = Optional.of(InputFiles.open(path));
      }

      try (JsonParser parser =
          Json.SEQUENCES.createParser(new BytesStream(again.get(), place.offset()))) {
        parser.nextToken();
        return parser.readValueAsTree();
      }
    } catch (JsonProcessingException e) {
      throw new TraceFormatException(
          "Invalid JSON in %s: %s. Maybe it changed meanwhile"
              .formatted(place, e.getOriginalMessage()),
          e);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  /** Bytes from a place on. */
  private static final class BytesStream extends InputStream {
    private final InputBytes bytes;
    private long next;

    BytesStream(InputBytes bytes, long offset) {
      this.bytes = bytes;
      this.next = offset;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
      int count = bytes.read(next, ByteBuffer.wrap(into, offset, length));
      next += count;
      return count == 0 && length > 0 ? -1 : count;
    }
  }

  @Override
  public void close() {
    again.ifPresent(bytes -> Closing.quietly(List.of(bytes)));
    again = Optional.empty();
  }

  /**
   * Which of some keys stand in the first object of a file, at any depth, if they stand in its
   * first megabytes. Says nothing about files that are no JSON.
   */
  static List<String> keysOfFirst(Path path, Set<String> keys) {
    List<String> found = new ArrayList<>();
    if (!Files.isRegularFile(path)) {
      return found;
    }

    try (InputStream in = InputFiles.stream(path);
        JsonParser parser = Json.SEQUENCES.createParser(in)) {
      int depth = 0;
      JsonToken token = parser.nextToken();
      if (token == JsonToken.START_ARRAY) {
        token = parser.nextToken();
      }

      while (token != null && parser.currentTokenLocation().getByteOffset() < 1 << 22) {
        if (token.isStructStart()) {
          depth++;
        } else if (token.isStructEnd()) {
          depth--;
        } else if (token == JsonToken.FIELD_NAME && keys.contains(parser.currentName())) {
          found.add(parser.currentName());
        }

        if (depth <= 0) {
          break;
        }

        token = parser.nextToken();
      }
    } catch (IOException | TraceFormatException e) {
      return List.of(); // no JSON: whoever opens it says why
    }

    return found;
  }
}
