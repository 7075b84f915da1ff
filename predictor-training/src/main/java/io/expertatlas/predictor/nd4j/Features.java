package io.expertatlas.predictor.nd4j;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;

/**
 * The inputs of a head, {@code [hidden | chosen experts | affinity | 1]}: the router's input; for
 * kinds that know routes a 1 for each chosen expert and, for each head-out and expert, the mean
 * over the chosen experts of log P(expert there | chosen expert here); 1 for the bias.
 */
final class Features {
  private final int hidden;
  private final int experts;
  private final int topK;
  private final float[] affinity; // [heads][from][to], or empty
  private final int heads;

  Features(LayerTask task, int hidden, ModelShape shape) {
    this.hidden = hidden;
    this.experts = shape.experts();
    this.topK = shape.topK();
    this.heads = task.heads();
    this.affinity = task.logAffinity();
  }

  private boolean routes() {
    return affinity.length > 0;
  }

  int width() {
    return hidden + (routes() ? experts + heads * experts : 0) + 1;
  }

  /** Writes the features of a row of the pool as a row of a matrix, on the heap. */
  void put(RowPool pool, int row, Matrix into, int intoRow) {
    float[] values = into.values;
    int at = intoRow * into.columns;
    System.arraycopy(pool.hidden(), row * hidden, values, at, hidden);
    int tail = at + hidden;
    int end = at + into.columns - 1;
    Arrays.fill(values, tail, end, 0f);
    if (routes()) {
      for (int rank = 0; rank < topK; rank++) {
        int from = pool.chosen(row, rank, topK);
        values[tail + from] = 1;
        for (int to = 0; to < heads * experts; to++) {
          values[tail + experts + to] +=
              affinity[((to / experts) * experts + from) * experts + to % experts] / topK;
        }
      }
    }

    values[end] = 1;
  }

  /** The hidden part of a matrix {@code [width][outputs]}, as {@code [outputs][hidden]}. */
  float[] hiddenPart(float[] matrix, int outputs) {
    float[] part = new float[outputs * hidden];
    for (int feature = 0; feature < hidden; feature++) {
      for (int output = 0; output < outputs; output++) {
        part[output * hidden + feature] = matrix[feature * outputs + output];
      }
    }

    return part;
  }

  /** What each chosen expert adds, {@code [expert][outputs]}: its own row and its affinities'. */
  float[] routePart(float[] matrix, int outputs) {
    if (!routes()) {
      return new float[0];
    }

    float[] part = new float[experts * outputs];
    for (int from = 0; from < experts; from++) {
      for (int output = 0; output < outputs; output++) {
        double sum = matrix[(hidden + from) * outputs + output];
        for (int to = 0; to < heads * experts; to++) {
          sum +=
              (double) affinity[((to / experts) * experts + from) * experts + to % experts]
                  / topK
                  * matrix[(hidden + experts + to) * outputs + output];
        }

        part[from * outputs + output] = (float) sum;
      }
    }

    return part;
  }

  /** The last row of a matrix. */
  float[] biasPart(float[] matrix, int outputs) {
    return Arrays.copyOfRange(matrix, (width() - 1) * outputs, width() * outputs);
  }
}
