package io.expertatlas.runtime.train;

import java.util.List;

/**
 * AdamW (arXiv 1711.05101): {@code m = b1 m + (1 - b1) g}, {@code v = b2 v + (1 - b2) g^2}, {@code
 * w = (1 - rate decay) w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)}; all
 * parameters decay. Kept in FP32.
 *
 * @param beta1 share of the first moment that stays
 * @param beta2 share of the second moment that stays
 * @param epsilon added to the root
 * @param weightDecay 0: none
 */
public record AdamW(double beta1, double beta2, double epsilon, double weightDecay) {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is impossible
   */
  public AdamW {
    if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1)
        || !(epsilon > 0)
        || !(weightDecay >= 0)) {
      throw new IllegalArgumentException(
          "Invalid AdamW: betas %s and %s (0 to below 1), epsilon %s (above 0), weight decay %s"
              .formatted(beta1, beta2, epsilon, weightDecay));
    }
  }

  /** Moves parameters against their gradients, with all processors; see the other one. */
  public void step(List<Parameter> parameters, double rate, int number, boolean inDoubles) {
    step(parameters, rate, number, inDoubles, false);
  }

  /**
   * Moves parameters against their gradients.
   *
   * @param rate learning rate
   * @param number of the step, from 1
   * @param inDoubles whether numbers in between are doubles, as on the CPU, or floats, as training
   *     on GPUs has them: several times as fast, and within rounding the same
   * @param isBeside whether the host works on something else too, which needs processors
   */
  public void step(
      List<Parameter> parameters, double rate, int number, boolean inDoubles, boolean isBeside) {
    double meanScale = 1 / (1 - Math.pow(beta1, number));
    double rootScale = 1 / Math.sqrt(1 - Math.pow(beta2, number));
    double kept = 1 - rate * weightDecay;
    HostWork.forEachRange(
        parameters,
        () -> {
          Piece piece = new Piece();
          return (parameter, begin, end) -> {
            for (int first = begin; first < end; first += HostWork.PIECE) {
              piece.take(parameter, first, end);
              if (inDoubles) {
                inDoubles(piece, kept, rate * meanScale, rootScale);
              } else {
                inFloats(piece, (float) kept, (float) (rate * meanScale), (float) rootScale);
              }

              piece.give(parameter, first);
            }
          };
        },
        isBeside);
  }

  /** Numbers that are worked on together, in arrays: so that loops become vector code. */
  private static final class Piece {
    final float[] value = new float[HostWork.PIECE];
    final float[] gradient = new float[HostWork.PIECE];
    final float[] mean = new float[HostWork.PIECE];
    final float[] variance = new float[HostWork.PIECE];
    int count;

    void take(Parameter parameter, int first, int end) {
      count = Math.min(HostWork.PIECE, end - first);
      parameter.value().get(first, value, 0, count);
      parameter.readGradient(first, gradient, count);
      System.arraycopy(parameter.mean(), first, mean, 0, count);
      System.arraycopy(parameter.variance(), first, variance, 0, count);
    }

    void give(Parameter parameter, int first) {
      parameter.value().put(first, value, 0, count);
      System.arraycopy(mean, 0, parameter.mean(), first, count);
      System.arraycopy(variance, 0, parameter.variance(), first, count);
    }
  }

  private void inDoubles(Piece piece, double kept, double rate, double rootScale) {
    for (int i = 0; i < piece.count; i++) {
      double gradient = piece.gradient[i];
      double first = beta1 * piece.mean[i] + (1 - beta1) * gradient;
      double second = beta2 * piece.variance[i] + (1 - beta2) * gradient * gradient;
      piece.mean[i] = (float) first;
      piece.variance[i] = (float) second;
      piece.value[i] =
          (float)
              (kept * piece.value[i] - rate * first / (Math.sqrt(second) * rootScale + epsilon));
    }
  }

  private void inFloats(Piece piece, float kept, float rate, float rootScale) {
    float meanKept = (float) beta1;
    float meanNew = (float) (1 - beta1);
    float varianceKept = (float) beta2;
    float varianceNew = (float) (1 - beta2);
    float above = (float) epsilon;
    float[] value = piece.value;
    float[] gradients = piece.gradient;
    float[] mean = piece.mean;
    float[] variance = piece.variance;
    int count = piece.count;
    for (int i = 0; i < count; i++) {
      float gradient = gradients[i];
      float first = meanKept * mean[i] + meanNew * gradient;
      float second = varianceKept * variance[i] + varianceNew * gradient * gradient;
      mean[i] = first;
      variance[i] = second;
      value[i] = kept * value[i] - rate * first / ((float) Math.sqrt(second) * rootScale + above);
    }
  }
}
