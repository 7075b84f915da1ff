package io.expertatlas.runtime.matrix;

/** {@link Norms} of floats, sums in doubles; a row's formulas are the same. */
final class FloatNorms {
  private FloatNorms() {}

  static FloatMatrix rms(FloatMatrix x, FloatMatrix gain, double epsilon) {
    float[] gains = gain.toArray();
    float[] row = new float[x.columns];
    FloatMatrix out = new FloatMatrix(x.rows, x.columns);
    for (int t = 0; t < x.rows; t++) {
      x.read(t, row);
      double scale = rmsScale(row, epsilon);
      for (int i = 0; i < row.length; i++) {
        row[i] = (float) (gains[i] * (row[i] * scale));
      }

      out.write(t, row);
    }

    return out;
  }

  private static double rmsScale(float[] x, double epsilon) {
    double squares = 0;
    for (float one : x) {
      squares += (double) one * one;
    }

    return 1 / Math.sqrt(squares / x.length + epsilon);
  }

  static FloatMatrix rmsBackward(
      FloatMatrix x,
      FloatMatrix gain,
      double epsilon,
      FloatMatrix gradient,
      FloatMatrix gainGradient) {
    int width = x.columns;
    float[] gains = gain.toArray();
    float[] row = new float[width];
    float[] down = new float[width];
    double[] gainSums = new double[width];
    FloatMatrix out = new FloatMatrix(x.rows, width);
    for (int t = 0; t < x.rows; t++) {
      x.read(t, row);
      gradient.read(t, down);
      double scale = rmsScale(row, epsilon);
      double along = 0;
      for (int i = 0; i < width; i++) {
        double normed = row[i] * scale;
        gainSums[i] += down[i] * normed;
        along += gains[i] * down[i] * normed;
      }

      along /= width;
      for (int i = 0; i < width; i++) {
        row[i] = (float) (scale * (gains[i] * (double) down[i] - row[i] * scale * along));
      }

      out.write(t, row);
    }

    gainGradient.addAll(gainSums);
    return out;
  }

  static FloatMatrix layer(FloatMatrix x, FloatMatrix gain, FloatMatrix bias, double epsilon) {
    float[] gains = gain.toArray();
    float[] biases = bias.toArray();
    float[] row = new float[x.columns];
    FloatMatrix out = new FloatMatrix(x.rows, x.columns);
    for (int t = 0; t < x.rows; t++) {
      x.read(t, row);
      double mean = mean(row);
      double scale = layerScale(row, mean, epsilon);
      for (int i = 0; i < row.length; i++) {
        row[i] = (float) (gains[i] * ((row[i] - mean) * scale) + biases[i]);
      }

      out.write(t, row);
    }

    return out;
  }

  private static double mean(float[] x) {
    double sum = 0;
    for (float one : x) {
      sum += one;
    }

    return sum / x.length;
  }

  private static double layerScale(float[] x, double mean, double epsilon) {
    double squares = 0;
    for (float one : x) {
      squares += (one - mean) * (one - mean);
    }

    return 1 / Math.sqrt(squares / x.length + epsilon);
  }

  static FloatMatrix layerBackward(
      FloatMatrix x,
      FloatMatrix gain,
      double epsilon,
      FloatMatrix gradient,
      FloatMatrix gainGradient,
      FloatMatrix biasGradient) {
    int width = x.columns;
    float[] gains = gain.toArray();
    float[] row = new float[width];
    float[] down = new float[width];
    double[] gainSums = new double[width];
    double[] biasSums = new double[width];
    FloatMatrix out = new FloatMatrix(x.rows, width);
    for (int t = 0; t < x.rows; t++) {
      x.read(t, row);
      gradient.read(t, down);
      double mean = mean(row);
      double scale = layerScale(row, mean, epsilon);
      double sum = 0;
      double along = 0;
      for (int i = 0; i < width; i++) {
        double normed = (row[i] - mean) * scale;
        double weighted = gains[i] * (double) down[i];
        gainSums[i] += down[i] * normed;
        biasSums[i] += down[i];
        sum += weighted;
        along += weighted * normed;
      }

      sum /= width;
      along /= width;
      for (int i = 0; i < width; i++) {
        double normed = (row[i] - mean) * scale;
        row[i] = (float) (scale * (gains[i] * (double) down[i] - sum - normed * along));
      }

      out.write(t, row);
    }

    gainGradient.addAll(gainSums);
    biasGradient.addAll(biasSums);
    return out;
  }
}
