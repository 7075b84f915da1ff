package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.util.List;

/** Format {@code megatron}: the router trace of Megatron-Core, a folder or the file of one rank. */
public final class MegatronFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public MegatronFormat() {}

  @Override
  public String name() {
    return MegatronTrace.NAME;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return MegatronTrace.looksSo(source.path());
  }

  @Override
  public boolean isSplittable(TraceSource source) {
    return !MegatronIndex.isCompressed(source.path());
  }

  @Override
  public List<FormatOption<?>> options() {
    return MegatronTrace.OPTIONS;
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    MegatronTrace trace = MegatronTrace.open(source);
    int logits = trace.scores() == Scores.NONE ? 0 : trace.shape().experts();
    return new BlockTraceReader(
        trace, range, trace.shape().layers() * (logits + trace.shape().topK()));
  }
}
