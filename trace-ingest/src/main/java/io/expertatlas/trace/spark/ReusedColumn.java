package io.expertatlas.trace.spark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnarArray;

/**
 * A column over a vector of {@link io.expertatlas.trace.arrow.TraceVectors}, which the reader fills
 * again for the next batch and closes itself. No value is null and all lists are of one length, so
 * values are read from the vector's memory without looking at validity and offsets first.
 */
final class ReusedColumn extends ArrowColumnVector {
  private final ByteBuffer values; // of this column, or empty if it holds lists
  private final Optional<ReusedColumn> elements;
  private final int width; // elements of a list

  /**
   * Covers a vector.
   *
   * @param width elements of each list, if it holds lists
   */
  ReusedColumn(FieldVector vector, int width) {
    super(vector);
    this.width = width;
    if (vector instanceof ListVector lists) {
      this.elements = Optional.of(new ReusedColumn(lists.getDataVector(), 0));
      this.values = ByteBuffer.allocate(0);
    } else {
      this.elements = Optional.empty();
      this.values =
          vector
              .getDataBuffer()
              .nioBuffer(0, Math.toIntExact(vector.getDataBuffer().capacity()))
              .order(ByteOrder.nativeOrder());
    }
  }

  @Override
  public byte getByte(int row) {
    return values.get(row);
  }

  @Override
  public short getShort(int row) {
    return values.getShort(row << 1);
  }

  @Override
  public int getInt(int row) {
    return values.getInt(row << 2);
  }

  @Override
  public long getLong(int row) {
    return values.getLong(row << 3);
  }

  @Override
  public float getFloat(int row) {
    return values.getFloat(row << 2);
  }

  @Override
  public float[] getFloats(int row, int count) {
    float[] copy = new float[count];
    values.slice(row << 2, count << 2).order(values.order()).asFloatBuffer().get(copy);
    return copy;
  }

  @Override
  public boolean isNullAt(int row) {
    return false;
  }

  @Override
  public ColumnarArray getArray(int row) {
    return new ColumnarArray(elements.orElseThrow(), row * width, width);
  }

  /** Called by Spark after each batch: the memory is used again. */
  @Override
  public void closeIfFreeable() {}
}
