package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection.Sequences;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * Decodes one row of a dataset: sequence, experts (flat, {@code layer * k + rank}), weights if
 * there are any, the phase if it is asked for, and, where the index of a token matters, row_index
 * and file_name.
 */
final class DatasetRow {
  private static final int SEQUENCE = 0;
  private static final int EXPERTS = 1;
  private static final int WEIGHTS = 2;

  private final boolean intIds;
  private final boolean weighted;
  private final boolean phased;
  private final Sequences sequences;
  private final long from;
  private final long to;
  private final Map<String, Long> firstTokens;
  private final int[] experts; // [layer][rank]
  private final float[] weights; // [layer][rank], or empty

  private UTF8String file = UTF8String.EMPTY_UTF8;
  private long firstToken; // of the file

  DatasetRow(
      ModelShape shape,
      boolean weighted,
      boolean phased,
      Sequences sequences,
      long from,
      long to,
      Map<String, Long> firstTokens) {
    this.intIds = shape.experts() > 1 << 15;
    this.weighted = weighted;
    this.phased = phased;
    this.sequences = sequences;
    this.from = from;
    this.to = to;
    this.firstTokens = firstTokens;
    experts = new int[shape.choicesPerToken()];
    weights = new float[weighted ? experts.length : 0];
  }

  /** Counts a row, if it is selected. */
  void addTo(AnalysisCounter counter, InternalRow row) {
    long token = firstTokens.isEmpty() ? -1 : index(row);
    if (token >= 0 && (token < from || token >= to)) {
      return;
    }

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

    int phase = phased ? row.getByte(weighted ? 3 : 2) : 0;
    counter.add(token, sequence, phase, experts, weights);
  }

  private long index(InternalRow row) {
    int rowIndex = 2 + (weighted ? 1 : 0) + (phased ? 1 : 0);
    UTF8String name = row.getUTF8String(rowIndex + 1);
    if (!name.equals(file)) {
      file = name.clone(); // the row's memory is reused
      firstToken = firstTokens.get(file.toString());
    }

    return firstToken + row.getLong(rowIndex);
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
