package io.expertatlas.runtime.pipeline;

import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;

/**
 * What experts take by a profile of training: an expert on the CPU with its activations there and
 * back, and zeros for gradients that it writes out; on the GPU, where backward computes a layer
 * again, with what it computes of an expert again. Immutable.
 */
public final class TableCosts implements ExpertCosts {
  private final LookupTable table;
  private final double loadBaseNanos;
  private final boolean recomputes;

  /**
   * Costs.
   *
   * @param recomputes whether backward computes layers again
   * @throws IllegalArgumentException if the table is no profile of training
   */
  public TableCosts(LookupTable table, boolean recomputes) {
    this.table = table;
    this.loadBaseNanos =
        table.loadAttentionNanos() + table.loadGateNanos(table.training().sizes().experts());
    this.recomputes = recomputes;
  }

  private double nanos(Curve curve, int tokens) {
    return table.monotone(curve).orElseThrow().nanos(tokens);
  }

  @Override
  public double cpuNanos(int tokens, boolean backward) {
    double copies = nanos(Curve.COPY_ACTIVATION, tokens) + nanos(Curve.RETURN_ACTIVATION, tokens);
    if (!backward) {
      return nanos(Curve.CPU_FORWARD, tokens) + copies;
    }

    boolean isKept = tokens <= TrainingProfile.KEPT_ROWS;
    return nanos(Curve.CPU_BACKWARD, tokens)
        + copies
        + (isKept ? 0 : table.training().nanos(Piece.CLEAR_CPU_EXPERT));
  }

  @Override
  public double gpuNanos(int tokens, boolean backward) {
    if (!backward) {
      return nanos(Curve.GPU_FORWARD, tokens);
    }

    return nanos(Curve.GPU_BACKWARD, tokens) + (recomputes ? nanos(Curve.GPU_AGAIN, tokens) : 0);
  }

  @Override
  public double layerNanos(int choices, boolean backward) {
    int tokens = choices / table.training().sizes().topK();
    if (!backward) {
      return nanos(Curve.ATTENTION_FORWARD, tokens);
    }

    return nanos(Curve.ATTENTION_BACKWARD, tokens) + (recomputes ? againNanos(tokens) : 0);
  }

  /** Attention and norms of so many tokens once more. */
  public double againNanos(int tokens) {
    return nanos(Curve.ATTENTION_AGAIN, tokens);
  }

  @Override
  public double loadExpertNanos() {
    return table.loadExpertNanos();
  }

  @Override
  public double loadBaseNanos() {
    return loadBaseNanos;
  }
}
