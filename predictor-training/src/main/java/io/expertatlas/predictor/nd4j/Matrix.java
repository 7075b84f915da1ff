package io.expertatlas.predictor.nd4j;

import java.nio.FloatBuffer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A row-major matrix twice: an array of ND4J, which its BLAS multiplies, and {@link #values} on the
 * heap, where loops over elements run at the processor's speed. Whoever changes one side copies it
 * to the other, by {@link #push} and {@link #pull}.
 */
final class Matrix implements AutoCloseable {
  final int rows;
  final int columns;
  final float[] values;
  private final INDArray array;
  private final FloatPointer pointer;
  private final FloatBuffer buffer;

  Matrix(int rows, int columns) {
    this.rows = rows;
    this.columns = columns;
    this.values = new float[Math.multiplyExact(rows, columns)];
    this.array = Nd4j.zeros(DataType.FLOAT, rows, columns);
    this.pointer = (FloatPointer) array.data().pointer();
    this.buffer = array.data().asNioFloat();
  }

  /** Heap to ND4J. */
  void push() {
    buffer.put(0, values);
  }

  /** ND4J to heap. */
  void pull() {
    buffer.get(0, values);
  }

  INDArray array() {
    return array;
  }

  /**
   * On ND4J's side, {@code this = a b + keep this}, either transposed, by ND4J's BLAS called
   * directly: for products as small as these ND4J's own call costs more than the product.
   *
   * @param keep 0 or 1
   */
  void product(Matrix a, boolean aTransposed, Matrix b, boolean bTransposed, float keep) {
    openblas.cblas_sgemm(
        openblas.CblasRowMajor,
        aTransposed ? openblas.CblasTrans : openblas.CblasNoTrans,
        bTransposed ? openblas.CblasTrans : openblas.CblasNoTrans,
        rows,
        columns,
        aTransposed ? a.rows : a.columns,
        1f,
        a.pointer,
        a.columns,
        b.pointer,
        b.columns,
        keep,
        pointer,
        columns);
  }

  @Override
  public void close() {
    array.close();
  }
}
