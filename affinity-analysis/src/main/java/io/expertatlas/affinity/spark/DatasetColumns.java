package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.affinity.AnalysisPlan;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.Sequences;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;
import java.util.List;
import org.apache.arrow.vector.BaseFixedWidthVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * Counts the columnar batches of the data source: Arrow vectors without nulls, in which every list
 * is of one length, so that their values are copied at once.
 */
final class DatasetColumns {
  private final ModelShape shape;
  private final Sequences sequences;
  private final int sequence; // where each column stands in a batch, or -1
  private final int experts;
  private final int weights;
  private final int phase;
  private final int token;
  private final boolean routesOnly; // without router weights

  /** Finds the columns by their names. */
  DatasetColumns(ModelShape shape, List<String> names, Sequences sequences, AnalysisPlan analysis) {
    this.shape = shape;
    this.sequences = sequences;
    sequence = names.indexOf("sequence");
    experts = names.indexOf("experts");
    weights = names.indexOf("weights");
    phase = names.indexOf("phase");
    token = names.indexOf("_token");
    routesOnly = analysis.countsRoutesOnly() && weights < 0;
  }

  /**
   * Counts the selected tokens of a batch.
   *
   * @throws IllegalArgumentException if a token names an expert twice in a layer, maybe one of an
   *     earlier batch
   */
  void addTo(AnalysisCounter counter, ColumnarBatch batch) {
    int rows = batch.numRows();
    int choices = rows * shape.choicesPerToken();
    if (routesOnly) {
      addRoutes(counter, batch, rows, choices);
      return;
    }

    float[] routerWeights = new float[weights < 0 ? 0 : choices];
    if (weights >= 0) {
      values(elements(batch, weights), choices).asFloatBuffer().get(routerWeights);
    }

    int[] sequenceIds = new int[rows];
    if (sequence >= 0) {
      values(vector(batch, sequence), rows).asIntBuffer().get(sequenceIds);
    }

    byte[] phases = new byte[rows];
    if (phase >= 0) {
      values(vector(batch, phase), rows).get(phases);
    }

    RoutingTrace trace =
        RoutingTrace.of(
            shape,
            ids(elements(batch, experts), choices),
            routerWeights,
            sequenceIds,
            new int[rows], // positions are not counted
            phases);
    if (token < 0) {
      counter.add(0, trace, sequences);
      return;
    }

    long[] tokens = new long[rows];
    values(vector(batch, token), rows).asLongBuffer().get(tokens);
    for (int from = 0; from < rows; ) {
      int to = from + 1;
      while (to < rows && tokens[to] == tokens[to - 1] + 1) {
        to++;
      }

      counter.add(tokens[from], to - from == rows ? trace : trace.slice(from, to), sequences);
      from = to;
    }
  }

  /** Ids are counted where they are; the source has seen to it that they are in range. */
  private void addRoutes(AnalysisCounter counter, ColumnarBatch batch, int rows, int choices) {
    FieldVector ids = elements(batch, experts);
    ShortBuffer narrow =
        ids instanceof IntVector
            ? ShortBuffer.wrap(ids(ids, choices))
            : values(ids, choices).asShortBuffer();
    if (sequence < 0) {
      counter.addRoutes(narrow, token -> 0, id -> true);
    } else {
      IntBuffer sequenceIds = values(vector(batch, sequence), rows).asIntBuffer();
      counter.addRoutes(narrow, sequenceIds::get, sequences);
    }
  }

  private static FieldVector vector(ColumnarBatch batch, int column) {
    return (FieldVector) ((ArrowColumnVector) batch.column(column)).getValueVector();
  }

  private static FieldVector elements(ColumnarBatch batch, int column) {
    return ((ListVector) vector(batch, column)).getDataVector();
  }

  private static ByteBuffer values(FieldVector vector, int count) {
    int bytes = Math.multiplyExact(count, ((BaseFixedWidthVector) vector).getTypeWidth());
    return vector.getDataBuffer().nioBuffer(0, bytes).order(ByteOrder.nativeOrder());
  }

  private static short[] ids(FieldVector vector, int count) {
    short[] ids = new short[count];
    if (vector instanceof IntVector) { // more experts than a short holds
      int[] wide = new int[count];
      values(vector, count).asIntBuffer().get(wide);
      for (int i = 0; i < count; i++) {
        ids[i] = (short) wide[i];
      }
    } else {
      values(vector, count).asShortBuffer().get(ids);
    }

    return ids;
  }
}
