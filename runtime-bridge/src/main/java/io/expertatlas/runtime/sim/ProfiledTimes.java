package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.LayerShape;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.LookupTable.Curve;
import io.expertatlas.runtime.pipeline.TableCosts;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.pipeline.TrainingProfile.Piece;

/**
 * Times of training on the machine that a profile of training was made on, nothing scaled. What
 * policies are told is what {@link TableCosts} says. Immutable.
 */
public final class ProfiledTimes implements WorkTimes {
  private static final double NANOS = 1e9;

  private final LookupTable table;
  private final TrainingProfile training;
  private final TableCosts costs;
  private final boolean recomputes;
  private final int tokens;
  private final double peerBytesPerSecond;

  /**
   * Times.
   *
   * @param recomputes whether backward computes each layer forward again
   * @param tokens of a micro-batch
   * @param peerBytesPerSecond from a device to the next; infinite: at once
   * @throws IllegalArgumentException if the table is no profile of training
   */
  public ProfiledTimes(
      LookupTable table, boolean recomputes, int tokens, double peerBytesPerSecond) {
    this.table = table;
    this.training = table.training();
    this.costs = new TableCosts(table, recomputes);
    this.recomputes = recomputes;
    this.tokens = tokens;
    this.peerBytesPerSecond = peerBytesPerSecond;
  }

  /** Whether backward computes each layer forward again. */
  boolean recomputes() {
    return recomputes;
  }

  /** A piece of the profile. */
  double piece(Piece piece) {
    return training.nanos(piece);
  }

  /** The share of a load's speed that is left while the CPU computes experts. */
  double loadPaceBesideCpu() {
    return Math.min(1, costs.loadExpertNanos() / piece(Piece.LOAD_BESIDE_CPU));
  }

  /** A curve of the profile at so many tokens. */
  double curve(Curve curve, int count) {
    return table.monotone(curve).orElseThrow().nanos(count);
  }

  /** Matrices as wide as a token that an expert's tape is as large as. */
  int tapeMatrices() {
    LayerShape shape = table.shape();
    return 1 + (shape.expertMatrices() - 1) * shape.hidden() / shape.dim();
  }

  /** Attention and norms of a micro-batch once more. */
  double attentionAgainNanos() {
    return costs.againNanos(tokens);
  }

  /** The embedding of a micro-batch. */
  double embedNanos(boolean backward) {
    return curve(backward ? Curve.EMBED_BACKWARD : Curve.EMBED_FORWARD, tokens);
  }

  /** Logits and loss of a micro-batch. */
  double headNanos(boolean backward) {
    return curve(backward ? Curve.HEAD_BACKWARD : Curve.HEAD_FORWARD, tokens);
  }

  /** The optimizer on the parameters of a layer. */
  double layerOptimizerNanos() {
    return optimizerNanos(layerParameters());
  }

  /** Parameters of a layer. */
  public long layerParameters() {
    return table.shape().layerBytes(training.sizes().experts()) / table.shape().bytesPerValue();
  }

  /** A step of the optimizer on so many parameters. */
  public double optimizerNanos(long parameters) {
    return training.optimizerNanos() * parameters;
  }

  @Override
  public double cpuNanos(int count, boolean backward) {
    return costs.cpuNanos(count, backward);
  }

  @Override
  public double gpuNanos(int count, boolean backward) {
    return costs.gpuNanos(count, backward);
  }

  @Override
  public double attentionNanos(boolean backward) {
    return curve(backward ? Curve.ATTENTION_BACKWARD : Curve.ATTENTION_FORWARD, tokens);
  }

  @Override
  public double loadExpertNanos() {
    return costs.loadExpertNanos();
  }

  @Override
  public double loadAttentionNanos() {
    return table.loadAttentionNanos();
  }

  @Override
  public double loadGateNanos() {
    return costs.loadBaseNanos() - loadAttentionNanos();
  }

  @Override
  public double storeBaseNanos() {
    return piece(Piece.STORE_ATTENTION) + piece(Piece.STORE_GATE);
  }

  @Override
  public double storeExpertNanos() {
    return piece(Piece.STORE_EXPERT);
  }

  @Override
  public double sendNanos(int fromGpu, int toGpu) {
    return tokens * table.shape().tokenBytes() / peerBytesPerSecond * NANOS;
  }

  @Override
  public double rootComplexCapacity() {
    return Double.POSITIVE_INFINITY;
  }
}
