package io.expertatlas.runtime.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What foretells a layer's counts: {@code none}, {@code last-step}, {@code oracle}, the share of
 * tokens that are foretold right (for drawn routing), or the folder of a predictor (for a trace).
 *
 * @param text as it was given
 */
record ForetellingOption(String text) {
  boolean isNone() {
    return text.equals("none");
  }

  boolean isLastStep() {
    return text.equals("last-step");
  }

  boolean isOracle() {
    return text.equals("oracle");
  }

  boolean isFolder() {
    return Files.isDirectory(Path.of(text));
  }

  /** The share; NaN if nothing is foretold by a share. */
  double fidelity() {
    if (isNone() || isLastStep()) {
      return Double.NaN;
    }

    if (isOracle()) {
      return 1;
    }

    try {
      double share = Double.parseDouble(text);
      if (share >= 0 && share <= 1) {
        return share;
      }
    } catch (NumberFormatException e) {
      // said below
    }

    throw new IllegalArgumentException(
        "Invalid --predictor: %s, expected none, last-step, oracle, a share from 0 to 1, or the folder of a predictor"
            .formatted(text));
  }
}
