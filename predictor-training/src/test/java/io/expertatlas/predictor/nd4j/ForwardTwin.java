package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.AffineHeads;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/** The forward pass of heads in ND4J, as the formula says it. */
final class ForwardTwin {
  private ForwardTwin() {}

  static float[] scores(AffineHeads heads, float[] hidden, int[] chosen) {
    int outputs = heads.outputs();
    INDArray x = column(hidden);
    INDArray z =
        matrix(heads.weight(), outputs, hidden.length)
            .mmul(x)
            .add(column(heads.bias()))
            .add(routes(heads.route(), outputs, chosen));
    if (heads.rank() > 0) {
      INDArray units =
          matrix(heads.down(), heads.rank(), hidden.length)
              .mmul(x)
              .add(column(heads.unitBias()))
              .add(routes(heads.unitRoute(), heads.rank(), chosen));
      z = z.add(matrix(heads.up(), outputs, heads.rank()).mmul(Transforms.relu(units)));
    }

    return z.reshape(outputs).toFloatVector();
  }

  private static INDArray routes(float[] table, int width, int[] chosen) {
    INDArray sum = Nd4j.zeros(DataType.FLOAT, width, 1);
    for (int expert : table.length == 0 ? new int[0] : chosen) {
      float[] row = new float[width];
      System.arraycopy(table, expert * width, row, 0, width);
      sum = sum.add(column(row));
    }

    return sum;
  }

  private static INDArray column(float[] values) {
    return matrix(values, values.length, 1);
  }

  private static INDArray matrix(float[] values, int rows, int columns) {
    return Nd4j.createFromArray(values).reshape('c', rows, columns);
  }
}
