package io.expertatlas.trace.terminal;

import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * What a command must be told of an input that its files do not say, and which part of it is asked
 * for: a picocli {@code @Mixin} for commands that name the input themselves; see {@link
 * TraceOptions}.
 */
public final class TraceFacts {
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
              + " commas; '%%2=0' takes every other sequence. ^ before one leaves it out; @FILE"
              + " stands for the ids in a file, one a line: ^@repeating.txt.")
  private Sequences sequences = Sequences.ALL;

  @Mixin private FormatOptionsMixin formatOptions;

  /** An input with these facts. */
  public TraceSource source(Path path) {
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
      return Terminal.option(() -> Sequences.parse(SequenceList.expand(value)));
    }
  }
}
