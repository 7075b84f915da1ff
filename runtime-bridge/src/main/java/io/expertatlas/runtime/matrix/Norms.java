package io.expertatlas.runtime.matrix;

/**
 * RMSNorm {@code y = gain x / sqrt(mean(x^2) + epsilon)} and LayerNorm {@code y = gain (x -
 * mean(x)) / sqrt(var(x) + epsilon) + bias}, row by row. Backward computes the row's scale again.
 */
final class Norms {
  private Norms() {}

  static DoubleMatrix rms(DoubleMatrix x, DoubleMatrix gain, double epsilon) {
    int width = x.columns;
    DoubleMatrix out = new DoubleMatrix(x.rows, width);
    for (int row = 0; row < x.rows; row++) {
      int at = row * width;
      double scale = rmsScale(x, at, epsilon);
      for (int i = 0; i < width; i++) {
        out.values[at + i] = gain.values[i] * (x.values[at + i] * scale);
      }
    }

    return out;
  }

  private static double rmsScale(DoubleMatrix x, int at, double epsilon) {
    double squares = 0;
    for (int i = 0; i < x.columns; i++) {
      squares += x.values[at + i] * x.values[at + i];
    }

    return 1 / Math.sqrt(squares / x.columns + epsilon);
  }

  /**
   * The gradient of x: with s the row's scale and n = s x, {@code dx = s (gain dy - n mean(gain dy
   * n))}; adds that of the gain, {@code sum of dy n}.
   */
  static DoubleMatrix rmsBackward(
      DoubleMatrix x,
      DoubleMatrix gain,
      double epsilon,
      DoubleMatrix gradient,
      DoubleMatrix gainGradient) {
    int width = x.columns;
    DoubleMatrix out = new DoubleMatrix(x.rows, width);
    for (int row = 0; row < x.rows; row++) {
      int at = row * width;
      double scale = rmsScale(x, at, epsilon);
      double along = 0;
      for (int i = 0; i < width; i++) {
        double normed = x.values[at + i] * scale;
        gainGradient.values[i] += gradient.values[at + i] * normed;
        along += gain.values[i] * gradient.values[at + i] * normed;
      }

      along /= width;
      for (int i = 0; i < width; i++) {
        double normed = x.values[at + i] * scale;
        out.values[at + i] = scale * (gain.values[i] * gradient.values[at + i] - normed * along);
      }
    }

    return out;
  }

  static DoubleMatrix layer(DoubleMatrix x, DoubleMatrix gain, DoubleMatrix bias, double epsilon) {
    int width = x.columns;
    DoubleMatrix out = new DoubleMatrix(x.rows, width);
    for (int row = 0; row < x.rows; row++) {
      int at = row * width;
      double mean = mean(x, at);
      double scale = layerScale(x, at, mean, epsilon);
      for (int i = 0; i < width; i++) {
        out.values[at + i] = gain.values[i] * ((x.values[at + i] - mean) * scale) + bias.values[i];
      }
    }

    return out;
  }

  private static double mean(DoubleMatrix x, int at) {
    double sum = 0;
    for (int i = 0; i < x.columns; i++) {
      sum += x.values[at + i];
    }

    return sum / x.columns;
  }

  private static double layerScale(DoubleMatrix x, int at, double mean, double epsilon) {
    double squares = 0;
    for (int i = 0; i < x.columns; i++) {
      double difference = x.values[at + i] - mean;
      squares += difference * difference;
    }

    return 1 / Math.sqrt(squares / x.columns + epsilon);
  }

  /**
   * The gradient of x: with s the row's scale and n the normed row, {@code dx = s (g - mean(g) - n
   * mean(g n))}, g = gain dy; adds those of gain and bias.
   */
  static DoubleMatrix layerBackward(
      DoubleMatrix x,
      DoubleMatrix gain,
      double epsilon,
      DoubleMatrix gradient,
      DoubleMatrix gainGradient,
      DoubleMatrix biasGradient) {
    int width = x.columns;
    DoubleMatrix out = new DoubleMatrix(x.rows, width);
    for (int row = 0; row < x.rows; row++) {
      int at = row * width;
      double mean = mean(x, at);
      double scale = layerScale(x, at, mean, epsilon);
      double sum = 0;
      double along = 0;
      for (int i = 0; i < width; i++) {
        double normed = (x.values[at + i] - mean) * scale;
        double down = gradient.values[at + i];
        gainGradient.values[i] += down * normed;
        biasGradient.values[i] += down;
        sum += gain.values[i] * down;
        along += gain.values[i] * down * normed;
      }

      sum /= width;
      along /= width;
      for (int i = 0; i < width; i++) {
        double normed = (x.values[at + i] - mean) * scale;
        out.values[at + i] =
            scale * (gain.values[i] * gradient.values[at + i] - sum - normed * along);
      }
    }

    return out;
  }
}
