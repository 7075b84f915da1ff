package io.expertatlas.trace.spark;

import io.expertatlas.trace.TokenSelection.TokenRange;
import java.io.Serializable;
import java.util.List;
import org.apache.spark.sql.connector.read.InputPartition;

/** What one task reads. Plain values, because paths are not serializable. */
sealed interface TraceInputPartition extends InputPartition {
  /** Tokens {@code from} (inclusive) to {@code to} (exclusive) of a raw file. */
  record Raw(IngestTasks.Source source, long from, long to) implements TraceInputPartition {
    TokenRange range() {
      return new TokenRange(from, to);
    }
  }

  /** Pieces of the parts of a dataset, in the order of their tokens. */
  record Dataset(String folder, List<Piece> pieces) implements TraceInputPartition {}

  /**
   * Rows of a part that stand together, or follow each other in its row groups.
   *
   * @param file name of the part
   * @param partRows rows of the part, by the manifest
   * @param partBytes size of the part, by the manifest
   * @param groups row groups to read; empty: all
   * @param skip rows to skip in the first of them
   * @param rows to read then
   * @param firstToken index of the first of them in the whole dataset
   */
  record Piece(
      String file,
      long partRows,
      long partBytes,
      List<Integer> groups,
      long skip,
      long rows,
      long firstToken)
      implements Serializable {}
}
