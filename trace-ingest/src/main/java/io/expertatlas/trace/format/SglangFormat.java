package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.SglangDump.Kind;
import io.expertatlas.trace.torch.TorchFile;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Format {@code sglang}, routes: what SGLang's expert distribution recorder keeps in mode {@code
 * per_token}. Recorded ids are of physical experts; the map at the end of the dump gives the
 * logical ones. Layers without a choice are dense and left out.
 *
 * <p>The recorder keeps no request ids. Row i of a pass continues row i of the pass before it if
 * the passes have as many rows and every row starts where that one ended; else all its rows begin
 * new sequences. A row is what {@code extend_seq_lens} counts, or a token of a pass without it.
 */
public final class SglangFormat implements TraceFormat {
  static final FormatOption<Integer> RANK =
      FormatOption.integer(
          "rank", 0, "Only the file of this rank; without it, all ranks in their order.");

  /** For {@link java.util.ServiceLoader}. */
  public SglangFormat() {}

  @Override
  public String name() {
    return "sglang";
  }

  @Override
  public List<FormatOption<?>> options() {
    return List.of(RANK);
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return SglangDump.kind(source.path()) == Kind.PER_TOKEN;
  }

  @Override
  public Optional<String> glimpse(TraceSource source) {
    if (!TorchFile.isTorch(source.path())) {
      return Optional.empty();
    }

    try (TorchFile file = TorchFile.open(source.path())) {
      return Optional.of("a torch file of " + file.root().describe());
    } catch (TraceFormatException e) {
      return Optional.of("a torch file that is not read: " + e.getMessage());
    }
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    return !SglangDump.isCompressed(source.path());
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    if (source.sequences().isPresent() || source.positions().isPresent()) {
      throw new TraceFormatException(
          "Cannot use --sequence-file or --position-file with SGLang dump %s: it has its own"
              .formatted(source.path()));
    }

    SglangDump dump = SglangDump.open(source.path(), rank(source));
    try {
      Kind kind = dump.kind();
      if (kind != Kind.PER_TOKEN) {
        throw new TraceFormatException(
            "Cannot read routes from %s: it holds counts only (%s). Maybe record with mode per_token"
                .formatted(source.path(), dump.ranks().get(0).root().describe()));
      }

      return new SglangReader(dump, source, range);
    } catch (RuntimeException e) {
      dump.close();
      throw e;
    }
  }

  static OptionalInt rank(TraceSource source) {
    Optional<Integer> rank = source.options().find(RANK);
    return rank.isPresent() ? OptionalInt.of(rank.get()) : OptionalInt.empty();
  }
}
