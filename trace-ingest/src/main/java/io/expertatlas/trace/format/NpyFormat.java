package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import java.nio.file.Files;
import java.util.Optional;

/**
 * Format {@code npy}: one numpy array of layer-local expert ids, {@code [tokens, layers]} (first
 * choices, as ExFlow dumps them) or {@code [tokens, layers, k]}, of any integer type and order.
 * Sequence ids and positions may lie in arrays {@code [tokens]} beside it.
 */
public final class NpyFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public NpyFormat() {}

  @Override
  public String name() {
    return "npy";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return Files.isRegularFile(source.path())
        && (InputFiles.plainName(source.path()).endsWith(".npy")
            || NpyFile.hasMagic(source.path()));
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    return !InputFiles.isCompressed(source.path());
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    return read(source, range, NpyFile.open(source.path(), "expert ids"));
  }

  /** Reads an array of expert ids, which is taken over, with the columns that the source names. */
  static TraceReader read(TraceSource source, TokenRange range, NpyFile experts) {
    try {
      int number =
          source
              .experts()
              .orElseThrow(
                  () ->
                      new TraceFormatException(
                          "Missing number of experts: %s does not say how many a layer has. Maybe add --experts E"
                              .formatted(source.path())));
      if (number < 1 || number > ModelShape.MAX_EXPERTS) {
        throw new TraceFormatException(
            "Invalid number of experts for %s: %d, 1 to %d"
                .formatted(source.path(), number, ModelShape.MAX_EXPERTS));
      }

      ModelShape shape = DumpReader.checkExperts(experts, number);
      TokenColumns columns =
          TokenColumns.open(
              experts.rows(),
              source.sequences(),
              source.positions(),
              Optional.empty(),
              source.path());
      return new DumpReader(
          shape,
          experts,
          Optional.empty(),
          columns,
          range,
          DumpReader.BATCH_TOKENS,
          ". Maybe --experts is wrong");
    } catch (RuntimeException e) {
      experts.close();
      throw e;
    }
  }
}
