package io.expertatlas.runtime.finetune;

import java.util.Locale;

/** How the learning rate goes over the steps, after a linear rise over the warm-up. */
public enum RateSchedule {
  /** Stays. */
  CONSTANT,
  /** Falls along a line, to 0 after the last step. */
  LINEAR,
  /** Falls along half a cosine, to 0 after the last step. */
  COSINE;

  /**
   * The rate of a step: {@code peak * (step + 1) / warmup} in the warm-up, then {@code peak},
   * {@code peak (1 - x)} or {@code peak (1 + cos(pi x)) / 2} with {@code x = (step - warmup) /
   * (steps - warmup)}.
   *
   * @param step from 0
   * @param warmup steps in which the rate rises
   */
  public double rate(double peak, int step, int steps, int warmup) {
    if (step < warmup) {
      return peak * (step + 1) / warmup;
    }

    double x = (double) (step - warmup) / Math.max(1, steps - warmup);
    return switch (this) {
      case CONSTANT -> peak;
      case LINEAR -> peak * (1 - x);
      case COSINE -> peak * (1 + Math.cos(Math.PI * x)) / 2;
    };
  }

  /** The name in options and files. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
