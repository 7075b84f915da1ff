package io.expertatlas.runtime.train;

import java.nio.FloatBuffer;
import java.util.List;

/**
 * AdamW (arXiv 1711.05101): {@code m = b1 m + (1 - b1) g}, {@code v = b2 v + (1 - b2) g^2}, {@code
 * w = (1 - rate decay) w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)}; all
 * parameters decay. Computed in doubles, kept in FP32.
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

  /**
   * Moves parameters against their gradients.
   *
   * @param rate learning rate
   * @param number of the step, from 1
   */
  public void step(List<Parameter> parameters, double rate, int number) {
    double meanScale = 1 / (1 - Math.pow(beta1, number));
    double rootScale = 1 / Math.sqrt(1 - Math.pow(beta2, number));
    double kept = 1 - rate * weightDecay;
    HostWork.forEach(
        parameters,
        parameter -> {
          FloatBuffer value = parameter.value();
          FloatBuffer gradients = parameter.gradient();
          float[] mean = parameter.mean();
          float[] variance = parameter.variance();
          for (int i = 0; i < mean.length; i++) {
            double gradient = gradients.get(i);
            double first = beta1 * mean[i] + (1 - beta1) * gradient;
            double second = beta2 * variance[i] + (1 - beta2) * gradient * gradient;
            mean[i] = (float) first;
            variance[i] = (float) second;
            value.put(
                i,
                (float)
                    (kept * value.get(i)
                        - rate * (first * meanScale) / (Math.sqrt(second) * rootScale + epsilon)));
          }
        });
  }
}
