package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.AnalysisCounter;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.Sequences;
import java.util.Arrays;
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
  private static final int BATCH_TOKENS = 1 << 13;

  private final boolean intIds;
  private final boolean weighted;
  private final boolean phased;
  private final boolean indexed;
  private final Sequences sequences;
  private final ModelShape shape;
  private final boolean batches; // nothing but the ids counts
  private final short[] batch; // [token][layer][rank], or empty
  private int gathered; // tokens in the batch
  private final int[] experts; // [layer][rank]
  private final float[] weights; // [layer][rank], or empty

  DatasetRow(
      ModelShape shape,
      boolean weighted,
      boolean plain,
      boolean phased,
      boolean indexed,
      Sequences sequences) {
    this.intIds = shape.experts() > 1 << 15;
    this.weighted = weighted;
    this.phased = phased;
    this.indexed = indexed;
    this.sequences = sequences;
    experts = new int[shape.choicesPerToken()];
    this.shape = shape;
    batches = plain && !weighted && !intIds;
    batch = new short[batches ? BATCH_TOKENS * experts.length : 0];
    weights = new float[weighted ? experts.length : 0];
  }

  /**
   * Counts a row, if it is selected; maybe only with a later one, or with {@link #flush}. Rows of
   * which nothing but the ids counts are gathered to batches, which count faster.
   */
  void addTo(AnalysisCounter counter, InternalRow row) {
    if (batches) {
      if (sequences.test(row.getInt(SEQUENCE))) {
        short[] ids = array(row, EXPERTS, "experts").toShortArray();
        System.arraycopy(ids, 0, batch, gathered * experts.length, ids.length);
        gathered++;
        if (gathered == BATCH_TOKENS) {
          flush(counter);
        }
      }

      return;
    }

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

  /** Counts the rows that were gathered. */
  void flush(AnalysisCounter counter) {
    if (gathered == 0) {
      return;
    }

    short[] choices = Arrays.copyOf(batch, gathered * experts.length);
    RoutingTrace trace;
    try {
      trace = RoutingTrace.ofExperts(shape, choices);
    } catch (
        IllegalArgumentException e) { // says a token of this batch, which tells nobody anything
      for (int at = 0; at < choices.length; at += experts.length) {
        for (int i = 0; i < experts.length; i++) {
          experts[i] = choices[at + i];
        }

        counter.add(-1, 0, 0, experts, weights);
      }

      throw e;
    }

    counter.add(-1, trace, sequence -> true);
    gathered = 0;
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
