package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import java.util.List;

/**
 * Format {@code megatron}, read with hidden states and router logits; see {@link MegatronFormat}.
 */
public final class MegatronStatesFormat implements RouterStatesFormat {
  /** For {@link java.util.ServiceLoader}. */
  public MegatronStatesFormat() {}

  @Override
  public String name() {
    return MegatronTrace.NAME;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return MegatronTrace.looksToHaveStates(source.path());
  }

  @Override
  public List<FormatOption<?>> options() {
    return MegatronTrace.OPTIONS;
  }

  @Override
  public RouterStatesReader open(TraceSource source, TokenRange range) {
    return new BlockStatesReader(MegatronTrace.open(source), range);
  }
}
