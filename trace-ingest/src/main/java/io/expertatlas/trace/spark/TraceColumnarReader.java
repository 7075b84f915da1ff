package io.expertatlas.trace.spark;

import io.expertatlas.trace.LayerSelection;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenRows;
import io.expertatlas.trace.arrow.TraceVectors;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;

/**
 * Turns the tokens of a partition into columnar batches over Arrow vectors. One batch is filled
 * again and again; kept tokens that stand together are copied at once.
 */
final class TraceColumnarReader implements PartitionReader<ColumnarBatch> {
  private final TokenBatches batches;
  private final PushedFilters pushed;
  private final boolean keepsAll;
  private final TraceVectors vectors;
  private final ColumnarBatch batch;
  private Optional<TokenRows> rows = Optional.empty();
  private int at; // next of rows

  TraceColumnarReader(
      TokenBatches batches,
      ModelShape shape,
      LayerSelection layers,
      List<String> columns,
      int hiddenSize,
      PushedFilters pushed,
      int batchTokens) {
    this.batches = batches;
    this.pushed = pushed;
    this.keepsAll = pushed.isNone();
    this.vectors =
        new TraceVectors("routing-trace task", columns, shape, layers, hiddenSize, batchTokens);
    this.batch =
        new ColumnarBatch(
            vectors.vectors().stream()
                .map(vector -> new ReusedColumn(vector, TraceVectors.width(vector)))
                .toArray(ColumnVector[]::new));
  }

  @Override
  public boolean next() {
    vectors.clear();
    while (vectors.room() > 0) {
      if (rows.isEmpty() || at == rows.get().tokens()) {
        rows = batches.next();
        at = 0;
        if (rows.isEmpty()) {
          break;
        }
      }

      appendRun(rows.get());
    }

    batch.setNumRows(vectors.tokens());
    return vectors.tokens() > 0;
  }

  /** Appends the next kept tokens that stand together, if any. */
  private void appendRun(TokenRows source) {
    int end = source.tokens();
    int from = at;
    while (!keepsAll && from < end && !keeps(source, from)) {
      from++;
    }

    int limit = Math.min(end, from + vectors.room());
    int to = keepsAll ? limit : from;
    while (to < limit && keeps(source, to)) {
      to++;
    }

    vectors.append(source, batches.firstToken(), from, to);
    at = to;
  }

  private boolean keeps(TokenRows source, int token) {
    return (pushed.sequences().isAll() || pushed.sequences().contains(source.sequence(token)))
        && (pushed.positions().isAll() || pushed.positions().contains(source.position(token)));
  }

  @Override
  public ColumnarBatch get() {
    return batch;
  }

  @Override
  public void close() {
    try (vectors) {
      batches.close();
    }
  }
}
