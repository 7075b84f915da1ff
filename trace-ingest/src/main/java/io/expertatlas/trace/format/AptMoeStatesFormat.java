package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceSource;
import java.util.List;

/**
 * Format {@code aptmoe}, router states: what APTMoE records to train its predictors. A folder of
 * {@code gate_results.ID.pth [layers, tokens, experts]} and maybe {@code hidden_inputs.ID.pth
 * [layers, tokens, hidden]}, numpy arrays in torch files, a prompt each; or one such file. A prompt
 * of one token may lack the axis of tokens. Gate results are probabilities (Mixtral) or masks of 0
 * and 1 (NLLB-MoE).
 *
 * <p>The files do not say how many experts a token visits: option {@code top-k} does. A row of a
 * mask with fewer experts (dropped for want of capacity) is an error, or its token is left out with
 * option {@code incomplete=skip}.
 */
public final class AptMoeStatesFormat implements RouterStatesFormat {
  /** For {@link java.util.ServiceLoader}. */
  public AptMoeStatesFormat() {}

  @Override
  public String name() {
    return "aptmoe";
  }

  @Override
  public List<FormatOption<?>> options() {
    return AptMoeDump.OPTIONS;
  }

  @Override
  public boolean recognizes(TraceSource source) {
    return AptMoeDump.recognizes(source.path());
  }

  @Override
  public RouterStatesReader open(TraceSource source, TokenRange range) {
    return new AptMoeReader(AptMoeDump.open(source, true), range);
  }
}
