package io.expertatlas.predictor.spark;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.RoutingCounts;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.nd4j.TrainingCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.TokenSelection.Sequences;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import scala.Tuple2;

/**
 * What tasks know of the trace, and what they make of the batches of its columns. Plain values:
 * they travel.
 *
 * @param model its name
 * @param columns that are read, in their order
 * @param scores what the routers' scores are
 * @param sequences that are kept, as an expression
 */
record TraceView(
    String model,
    int layers,
    int experts,
    int topK,
    int hiddenSize,
    ArrayList<String> columns,
    Scores scores,
    String sequences)
    implements Serializable {
  static TraceView of(
      PredictedModel model, List<String> columns, Scores scores, Sequences sequences) {
    ModelShape shape = model.shape();
    return new TraceView(
        model.name(),
        shape.layers(),
        shape.experts(),
        shape.topK(),
        model.hiddenSize(),
        new ArrayList<>(columns),
        scores,
        sequences.toString());
  }

  PredictedModel predicted() {
    return new PredictedModel(model, new ModelShape(layers, experts, topK), hiddenSize);
  }

  StateColumns stateColumns() {
    return new StateColumns(columns);
  }

  Sequences kept() {
    return Sequences.parse(sequences);
  }

  /** The sequences of a partition, each once. */
  Iterator<int[]> sequences(Iterator<ColumnarBatch> batches) {
    StateColumns found = stateColumns();
    Sequences kept = kept();
    int[] all = {};
    while (batches.hasNext()) {
      int[] some = found.sequences(batches.next());
      int[] both = Arrays.copyOf(all, all.length + some.length);
      System.arraycopy(some, 0, both, all.length, some.length);
      all = Arrays.stream(both).filter(kept).sorted().distinct().toArray();
    }

    return List.of(all).iterator();
  }

  /** Counts of a partition. */
  Iterator<TrainingCounts> count(
      Iterator<ColumnarBatch> batches, SequenceSplit split, int lookahead) {
    StateColumns found = stateColumns();
    Sequences kept = kept();
    RoutingCounts train = new RoutingCounts(predicted().shape(), lookahead);
    long validation = 0;
    while (batches.hasNext()) {
      ColumnarBatch batch = batches.next();
      int[] ids = found.sequences(batch);
      short[] choices = found.experts(batch, layers * topK);
      for (int row = 0; row < ids.length; row++) {
        Part part = kept.test(ids[row]) ? split.part(ids[row]) : Part.TEST;
        validation += part == Part.VALIDATION ? 1 : 0;
        if (part == Part.TRAIN) {
          train.add(choices, row * layers * topK);
        }
      }
    }

    return List.of(new TrainingCounts(train, validation)).iterator();
  }

  /** Blocks of rows for each layer but the last, of the tokens that are not held out. */
  Iterator<Tuple2<BlockKey, byte[]>> blocks(
      Iterator<ColumnarBatch> batches, SequenceSplit split, int lookahead) {
    return new BlockIterator(this, batches, split, lookahead);
  }
}
