package io.expertatlas.predictor.spark;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.store.GateDistribution;
import io.expertatlas.predictor.store.LayerBlock;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.TokenSelection.Sequences;
import java.nio.FloatBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import scala.Tuple2;

/**
 * Takes the tokens of a partition apart into blocks of rows, by layer. Holds a block for each layer
 * and what one batch filled.
 */
final class BlockIterator implements Iterator<Tuple2<BlockKey, byte[]>> {
  private final TraceView trace;
  private final Iterator<ColumnarBatch> batches;
  private final SequenceSplit split;
  private final StateColumns columns;
  private final Sequences kept;
  private final List<LayerBlock> blocks = new ArrayList<>(); // [layer]
  private final long[] first; // [layer], token of the first row of its block
  private final Deque<Tuple2<BlockKey, byte[]>> ready = new ArrayDeque<>();
  private final float[] gates; // [layer][expert], of one token
  private final float[] gate; // [expert]
  private boolean ended;

  BlockIterator(
      TraceView trace, Iterator<ColumnarBatch> batches, SequenceSplit split, int lookahead) {
    this.trace = trace;
    this.batches = batches;
    this.split = split;
    this.columns = trace.stateColumns();
    this.kept = trace.kept();
    PredictedModel model = trace.predicted();
    for (int layer = 0; layer < trace.layers() - 1; layer++) {
      blocks.add(new LayerBlock(model, model.heads(layer, lookahead)));
    }

    this.first = new long[blocks.size()];
    this.gates = new float[trace.layers() * trace.experts()];
    this.gate = new float[trace.experts()];
  }

  @Override
  public boolean hasNext() {
    while (ready.isEmpty() && !ended) {
      if (batches.hasNext()) {
        add(batches.next());
      } else {
        ended = true;
        for (int layer = 0; layer < blocks.size(); layer++) {
          if (!blocks.get(layer).isEmpty()) {
            take(layer);
          }
        }
      }
    }

    return !ready.isEmpty();
  }

  @Override
  public Tuple2<BlockKey, byte[]> next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }

    return ready.remove();
  }

  private void take(int layer) {
    ready.add(new Tuple2<>(new BlockKey(layer, first[layer]), blocks.get(layer).take()));
  }

  private void add(ColumnarBatch batch) {
    int[] sequences = columns.sequences(batch);
    long[] tokens = columns.tokens(batch);
    int choices = trace.layers() * trace.topK();
    int hidden = trace.layers() * trace.hiddenSize();
    short[] experts = columns.experts(batch, choices);
    FloatBuffer inputs = columns.floats(batch, StateColumns.INPUT, hidden);
    FloatBuffer scores = columns.floats(batch, StateColumns.SCORES, gates.length);
    for (int row = 0; row < sequences.length; row++) {
      Part part = kept.test(sequences[row]) ? split.part(sequences[row]) : Part.TEST;
      if (part == Part.TEST) {
        continue;
      }

      distributions(scores, row, experts);
      for (int layer = 0; layer < blocks.size(); layer++) {
        LayerBlock block = blocks.get(layer);
        if (block.isEmpty()) {
          first[layer] = tokens[row];
        }

        block.add(
            part,
            inputs,
            row * hidden + layer * trace.hiddenSize(),
            gates,
            (layer + 1) * trace.experts(),
            experts,
            row * choices + layer * trace.topK());
        if (block.isFull()) {
          take(layer);
        }
      }
    }
  }

  /** What the gates of a token gave, in all layers that are predicted. */
  private void distributions(FloatBuffer scores, int row, short[] experts) {
    int topK = trace.topK();
    for (int layer = 1; layer < trace.layers(); layer++) {
      if (trace.scores() != Scores.NONE) {
        scores.get(row * gates.length + layer * gate.length, gate);
      }

      int at = (row * trace.layers() + layer) * topK;
      GateDistribution.of(trace.scores(), gate, rank -> experts[at + rank] & 0xffff, topK);
      System.arraycopy(gate, 0, gates, layer * gate.length, gate.length);
    }
  }
}
