package io.expertatlas.predictor.spark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.List;
import org.apache.arrow.vector.BaseFixedWidthVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * The columns of the data source by name: Arrow vectors without nulls, in which every list is of
 * one length, so that their values are read where they lie.
 */
final class StateColumns {
  static final String SEQUENCE = "sequence";
  static final String EXPERTS = "experts";
  static final String TOKEN = "_token";
  static final String INPUT = "_router_input";
  static final String SCORES = "_router_scores";

  private final List<String> names;

  StateColumns(List<String> names) {
    this.names = names;
  }

  int[] sequences(ColumnarBatch batch) {
    int[] sequences = new int[batch.numRows()];
    values(vector(batch, SEQUENCE), sequences.length).asIntBuffer().get(sequences);
    return sequences;
  }

  long[] tokens(ColumnarBatch batch) {
    long[] tokens = new long[batch.numRows()];
    values(vector(batch, TOKEN), tokens.length).asLongBuffer().get(tokens);
    return tokens;
  }

  /** Choices, {@code [row][layer][rank]}. */
  short[] experts(ColumnarBatch batch, int width) {
    FieldVector elements = elements(batch, EXPERTS);
    short[] ids = new short[Math.multiplyExact(batch.numRows(), width)];
    if (elements instanceof IntVector) { // more experts than a short holds
      int[] wide = new int[ids.length];
      values(elements, ids.length).asIntBuffer().get(wide);
      for (int i = 0; i < ids.length; i++) {
        ids[i] = (short) wide[i];
      }
    } else {
      values(elements, ids.length).asShortBuffer().get(ids);
    }

    return ids;
  }

  /** Values of a column of floats, {@code [row][value]}; none if it is not read. */
  FloatBuffer floats(ColumnarBatch batch, String name, int width) {
    return names.contains(name)
        ? values(elements(batch, name), Math.multiplyExact(batch.numRows(), width)).asFloatBuffer()
        : FloatBuffer.allocate(0);
  }

  private FieldVector vector(ColumnarBatch batch, String name) {
    return (FieldVector) ((ArrowColumnVector) batch.column(names.indexOf(name))).getValueVector();
  }

  private FieldVector elements(ColumnarBatch batch, String name) {
    return ((ListVector) vector(batch, name)).getDataVector();
  }

  private static ByteBuffer values(FieldVector vector, int count) {
    int bytes = Math.multiplyExact(count, ((BaseFixedWidthVector) vector).getTypeWidth());
    return vector.getDataBuffer().nioBuffer(0, bytes).order(ByteOrder.nativeOrder());
  }
}
