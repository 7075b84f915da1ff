package io.expertatlas.trace.terminal;

import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The options that name a trace and a part of it: a picocli {@code @Mixin}. */
public final class TraceOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--trace",
      paramLabel = "T",
      description = "Routing-trace dataset, capture folder or raw file (.npy).")
  private Path trace;

  @Option(
      names = "--format",
      paramLabel = "F",
      description = "Format of --trace; without it, found by looking.")
  private String format = "";

  @Option(
      names = "--experts",
      paramLabel = "E",
      description = "Experts in each layer, for raw files, which do not say it.")
  private Integer experts;

  @Option(
      names = "--sequence-file",
      paramLabel = "S",
      description = "Integer .npy with the sequence id of each token of a raw file.")
  private Path sequenceFile;

  @Option(
      names = "--position-file",
      paramLabel = "P",
      description = "Integer .npy with the position of each token of a raw file.")
  private Path positionFile;

  @Option(
      names = "--tokens",
      paramLabel = "FROM:TO",
      converter = TokenRangeConverter.class,
      description = "Only these tokens; TO is exclusive, either side may be missing.")
  private TokenRange tokens = TokenRange.ALL;

  @Option(
      names = "--sequences",
      paramLabel = "EXPR",
      converter = SequencesConverter.class,
      description =
          "Only these sequences: ids, ranges FROM:TO and residue classes %%M=R, separated by"
              + " commas; '%%2=0' takes every other sequence.")
  private Sequences sequences = Sequences.ALL;

  @Mixin private FormatOptionsMixin formatOptions;

  /** Whether a trace was named; a command that has no other input need not ask. */
  public boolean hasTrace() {
    return trace != null;
  }

  /**
   * Where the trace is.
   *
   * @throws ParameterException if it was not named
   */
  public TraceSource source() {
    if (trace == null) {
      throw new ParameterException(command.commandLine(), "Missing required option: '--trace=T'");
    }

    return sourceAt(trace);
  }

  /** An input that a command names by another option, with the facts and format given here. */
  public TraceSource sourceAt(Path path) {
    return new TraceSource(
        path,
        format,
        experts == null ? OptionalInt.empty() : OptionalInt.of(experts),
        Optional.ofNullable(sequenceFile),
        Optional.ofNullable(positionFile),
        formatOptions.options());
  }

  /** Which part of it is asked for. */
  public TokenSelection selection() {
    return new TokenSelection(tokens, sequences);
  }

  /**
   * Opens the selected part of the trace.
   *
   * @throws io.expertatlas.trace.TraceFormatException if it cannot be read
   */
  public TraceReader open() {
    return TraceFormat.openTrace(source(), selection());
  }

  private static final class TokenRangeConverter
      implements picocli.CommandLine.ITypeConverter<TokenRange> {
    @Override
    public TokenRange convert(String value) {
      return Terminal.option(() -> TokenRange.parse(value));
    }
  }

  private static final class SequencesConverter
      implements picocli.CommandLine.ITypeConverter<Sequences> {
    @Override
    public Sequences convert(String value) {
      return Terminal.option(() -> Sequences.parse(value));
    }
  }
}
