package io.expertatlas.runtime.cli;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/**
 * Who computes an offloaded expert that is missing on the device: {@code none}: the device, once it
 * is there; {@code min-max}: the CPU, where the layer ends sooner.
 *
 * @param text as it was given
 */
record CpuExperts(String text) {
  boolean isNone() {
    return text.equals("none");
  }

  /**
   * Checks what can be checked before a model is opened.
   *
   * @throws ParameterException if it means nothing, or cannot be beside other options
   */
  void check(CommandSpec spec, DeviceOptions device, boolean hasOracle) {
    String wrong = "";
    if (!isNone() && !text.equals("min-max")) {
      wrong = "Invalid --cpu-experts: %s, expected none or min-max".formatted(text);
    } else if (!isNone() && !device.offloads()) {
      wrong =
          "Invalid --cpu-experts: %s, experts stay on the device. Maybe add --offload popularity"
              .formatted(text);
    } else if (!isNone() && hasOracle) {
      wrong =
          "Invalid --cpu-experts: %s beside --predictor oracle, as the CPU may round otherwise than the device that was recorded"
              .formatted(text);
    }

    if (!wrong.isEmpty()) {
      throw new ParameterException(spec.commandLine(), wrong);
    }
  }
}
