package io.expertatlas.runtime.pipeline;

import io.expertatlas.predictor.Scoring;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.List;

/**
 * Collects the steps of a trace: consecutive tokens fill the micro-batches of a step one after the
 * other. A step that the trace does not fill is left out. Mutable.
 *
 * <p>Counts come from tokens ({@link #add}), or with predictions from a predictor's {@link
 * Scoring}, whose iterations are then the micro-batches.
 */
public final class ChunkCollector implements Scoring.PopularitySink {
  private final ModelShape shape;
  private final int chunks;
  private final int tokensOfChunk;
  private final int mostSteps;
  private final List<StepRouting> steps = new ArrayList<>();
  private int[][][] counts; // [layer][chunk][expert]
  private int[][][] predicted;
  private int chunk;
  private int tokens; // in the chunk
  private boolean foretold;

  /**
   * Starts.
   *
   * @param chunks micro-batches of a step
   * @param tokensOfChunk tokens of a micro-batch
   * @param mostSteps more are not kept
   */
  public ChunkCollector(ModelShape shape, int chunks, int tokensOfChunk, int mostSteps) {
    if (chunks < 1 || tokensOfChunk < 1) {
      throw new IllegalArgumentException(
          "Invalid micro-batches: %d of %d tokens, at least 1 each"
              .formatted(chunks, tokensOfChunk));
    }

    this.shape = shape;
    this.chunks = chunks;
    this.tokensOfChunk = tokensOfChunk;
    this.mostSteps = mostSteps;
    begin();
  }

  private void begin() {
    counts = new int[shape.layers()][chunks][shape.experts()];
    predicted = new int[shape.layers()][chunks][0];
    chunk = 0;
  }

  /** Whether all steps that are kept are there. */
  public boolean isFull() {
    return steps.size() >= mostSteps;
  }

  /** Adds tokens. */
  public void add(RoutingTrace trace) {
    for (int token = 0; token < trace.tokens() && !isFull(); token++) {
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          counts[layer][chunk][trace.expert(token, layer, rank)]++;
        }
      }

      if (++tokens == tokensOfChunk) {
        tokens = 0;
        endChunk();
      }
    }
  }

  @Override
  public void iteration(int iteration, long[] gate, long[][][] foretoldCounts) {
    int experts = shape.experts();
    long choices = 0;
    for (int expert = 0; expert < experts; expert++) {
      choices += gate[expert];
    }

    if (isFull() || choices < (long) tokensOfChunk * shape.topK()) {
      return; // the rest of the trace
    }

    foretold = true;
    long[] next = foretoldCounts[0][0]; // [target layer - 1][expert] of head-out 1
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int expert = 0; expert < experts; expert++) {
        counts[layer][chunk][expert] = (int) gate[layer * experts + expert];
      }

      if (layer > 0) {
        predicted[layer][chunk] = new int[experts];
        for (int expert = 0; expert < experts; expert++) {
          predicted[layer][chunk][expert] = (int) next[(layer - 1) * experts + expert];
        }
      }
    }

    endChunk();
  }

  private void endChunk() {
    if (++chunk == chunks) {
      steps.add(new StepRouting(counts, foretold ? predicted : new int[0][][]));
      begin();
    }
  }

  /** The steps that were filled. */
  public List<StepRouting> steps() {
    return List.copyOf(steps);
  }
}
