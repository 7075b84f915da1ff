package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.Sequences;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;

/**
 * Decodes one row of a dataset: sequence, experts (flat, {@code layer * k + rank}), weights if
 * there are any, and, if they are asked for, the phase and the index of the token.
 */
final class DatasetRow {
  private static final int SEQUENCE = 0;
  private static final int EXPERTS = 1;
  private static final int WEIGHTS = 2;

  private final boolean intIds;
  private final boolean weighted;
  private final boolean phased;
  private final boolean indexed;
  private final Sequences sequences;
  private final int[] experts; // [layer][rank]
  private final float[] weights; // [layer][rank], or empty

  DatasetRow(
      ModelShape shape, boolean weighted, boolean phased, boolean indexed, Sequences sequences) {
    this.intIds = shape.experts() > 1 << 15;
    this.weighted = weighted;
    this.phased = phased;
    this.indexed = indexed;
    this.sequences = sequences;
    experts = new int[shape.choicesPerToken()];
    weights = new float[weighted ? experts.length : 0];
  }

  /** Counts a row, if it is selected. */
  void addTo(AnalysisCounter counter, InternalRow row) {
    int phaseColumn = weighted ? 3 : 2;
    long token = indexed ? row.getLong(phaseColumn + (phased ? 1 : 0)) : -1;
    int sequence = row.getInt(SEQUENCE);
    if (!sequences.test(sequence)) {
      counter.skip(token);
      return;
    }

    ArrayData ids = array(row, EXPERTS, "experts");
    for (int i = 0; i < experts.length; i++) {
      experts[i] = intIds ? ids.getInt(i) : ids.getShort(i);
    }

    if (weighted) {
      ArrayData values = array(row, WEIGHTS, "weights");
      for (int i = 0; i < weights.length; i++) {
        weights[i] = values.getFloat(i);
      }
    }

    int phase = phased ? row.getByte(phaseColumn) : 0;
    counter.add(token, sequence, phase, experts, weights);
  }

  private ArrayData array(InternalRow row, int column, String name) {
    ArrayData array = row.isNullAt(column) ? null : row.getArray(column);
    if (array == null || array.numElements() != experts.length) {
      throw new IllegalArgumentException(
          "%d %s, expected %d"
              .formatted(array == null ? 0 : array.numElements(), name, experts.length));
    }

    return array;
  }
}
