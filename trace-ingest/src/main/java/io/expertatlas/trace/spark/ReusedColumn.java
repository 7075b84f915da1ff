package io.expertatlas.trace.spark;

import org.apache.arrow.vector.ValueVector;
import org.apache.spark.sql.vectorized.ArrowColumnVector;

/** A column over a vector that the reader fills again for the next batch, and closes itself. */
final class ReusedColumn extends ArrowColumnVector {
  ReusedColumn(ValueVector vector) {
    super(vector);
  }

  /** Called by Spark after each batch: the memory is used again. */
  @Override
  public void closeIfFreeable() {}
}
