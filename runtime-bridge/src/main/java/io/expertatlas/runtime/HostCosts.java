package io.expertatlas.runtime;

import java.util.List;

/**
 * What an offloaded expert costs, measured: on the CPU of the host for numbers of rows, and on the
 * way to the device.
 *
 * @param rows ascending, from 1
 * @param cpuNanos for each of these, never falling
 * @param loadNanos a copy to the device
 */
public record HostCosts(List<Integer> rows, List<Double> cpuNanos, double loadNanos) {
  /** Nothing was measured. */
  public static final HostCosts NONE = new HostCosts(List.of(), List.of(), 0);

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if there are not as many times as numbers of rows
   */
  public HostCosts {
    rows = List.copyOf(rows);
    cpuNanos = List.copyOf(cpuNanos);
    if (rows.size() != cpuNanos.size()) {
      throw new IllegalArgumentException(
          "Invalid costs of experts: %d numbers of rows, %d times"
              .formatted(rows.size(), cpuNanos.size()));
    }
  }
}
