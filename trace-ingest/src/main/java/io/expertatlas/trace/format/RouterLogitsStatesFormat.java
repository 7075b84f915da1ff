package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import java.util.List;

/** Format {@code router-logits}, read with the scores; see {@link RouterLogitsFormat}. */
public final class RouterLogitsStatesFormat implements RouterStatesFormat {
  /** For {@link java.util.ServiceLoader}. */
  public RouterLogitsStatesFormat() {}

  @Override
  public String name() {
    return RouterLogits.NAME;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return RouterLogitsFormat.looksSo(source.path());
  }

  @Override
  public List<FormatOption<?>> options() {
    return RouterLogits.OPTIONS;
  }

  @Override
  public RouterStatesReader open(TraceSource source, TokenRange range) {
    return new BlockStatesReader(RouterLogits.open(source), range);
  }
}
