package io.expertatlas.trace.format;

import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.SglangDump.Kind;
import java.util.List;

/**
 * Format {@code sglang}, counts: what SGLang's expert distribution recorder keeps in modes {@code
 * stat}, {@code stat_approx} and {@code per_pass}, or the CSV files of its first version ({@code
 * layer_id,expert_id,count}). Counts of physical experts are mapped to logical ones, those of ranks
 * are added. A window is a forward pass; a CSV is one window. Layers without any token are dense
 * and left out, and so are windows without any: they are unused rows of the recorder's buffer.
 */
public final class SglangCountsFormat implements CountsFormat {
  /** For {@link java.util.ServiceLoader}. */
  public SglangCountsFormat() {}

  @Override
  public String name() {
    return "sglang";
  }

  @Override
  public List<FormatOption<?>> options() {
    return List.of(SglangFormat.RANK);
  }

  @Override
  public boolean recognizes(TraceSource source) {
    Kind kind = SglangDump.kind(source.path());
    return kind == Kind.STAT || kind == Kind.PER_PASS || SglangCsv.recognizes(source.path());
  }

  @Override
  public CountsReader open(TraceSource source) {
    if (SglangCsv.recognizes(source.path())) {
      return SglangCountsReader.of(SglangCsv.read(source.path()), source);
    }

    SglangDump dump = SglangDump.open(source.path(), SglangFormat.rank(source));
    try {
      if (dump.kind() == Kind.STAT && dump.ranks().size() > 1) {
        throw new TraceFormatException(
            "Cannot add the counts of %d ranks in %s: each is over all ranks already. Maybe add --format-option rank=%d"
                .formatted(dump.ranks().size(), source.path(), dump.ranks().get(0).rank()));
      }

      return SglangCountsReader.of(SglangWindows.of(dump), source);
    } catch (RuntimeException e) {
      dump.close();
      throw e;
    }
  }
}
