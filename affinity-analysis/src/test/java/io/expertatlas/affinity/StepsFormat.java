package io.expertatlas.affinity;

import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** A format of counts for tests: "layers experts", then lines of a step and its counts. */
public final class StepsFormat implements CountsFormat {
  @Override
  public String name() {
    return "test-steps";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return source.path().toString().endsWith(".steps");
  }

  @Override
  public CountsReader open(TraceSource source) {
    try {
      List<long[]> lines =
          Files.readAllLines(source.path()).stream()
              .map(line -> Arrays.stream(line.split(" ")).mapToLong(Long::parseLong).toArray())
              .toList();
      return reader((int) lines.get(0)[0], (int) lines.get(0)[1], lines.subList(1, lines.size()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (NumberFormatException e) {
      throw new TraceFormatException(
          "Cannot read %s: %s".formatted(source.path(), e.getMessage()), e);
    }
  }

  /** A reader of lines: step, then {@code [layer][expert]}. */
  public static CountsReader reader(int layers, int experts, List<long[]> lines) {
    Iterator<long[]> rest = lines.iterator();
    return new CountsReader() {
      @Override
      public int layers() {
        return layers;
      }

      @Override
      public int experts() {
        return experts;
      }

      @Override
      public Optional<ExpertCounts> next() {
        if (!rest.hasNext()) {
          return Optional.empty();
        }

        long[] line = rest.next();
        long[] counts = Arrays.copyOfRange(line, 1, line.length);
        return Optional.of(
            ExpertCounts.of(
                layers, experts, "step " + line[0], line[0], OptionalInt.empty(), counts));
      }

      @Override
      public void close() {}
    };
  }
}
