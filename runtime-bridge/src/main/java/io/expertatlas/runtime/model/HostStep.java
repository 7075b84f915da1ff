package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * The experts that the CPU of the host computes in a step of a layer.
 *
 * @param host computes; empty if there are none
 * @param experts their weights
 * @param rowsOf {@code [expert]}: the rows of each, ascending
 * @param first place of their results among those of all choices: behind those of the device
 */
record HostStep(
    Optional<HostExperts> host, List<ExpertWeights> experts, List<int[]> rowsOf, int first) {
  private static final HostStep NONE = new HostStep(Optional.empty(), List.of(), List.of(), 0);

  /**
   * What is to be done.
   *
   * @param host empty if no CPU computes
   * @param choices {@code [T][k]}
   * @param onDevice experts that the device computes, ascending
   */
  static HostStep of(
      HeldExperts.Offloaded held,
      HostShare share,
      Optional<HostExperts> host,
      int[] choices,
      int k,
      int[] onDevice) {
    if (!share.isSome()) {
      return NONE;
    }

    List<ExpertWeights> experts = new ArrayList<>();
    List<int[]> rowsOf = new ArrayList<>();
    for (int expert : share.experts()) {
      experts.add(held.cache().onHost(held.layer(), expert, host.orElseThrow().cpu()));
      rowsOf.add(
          IntStream.range(0, choices.length)
              .filter(choice -> choices[choice] == expert)
              .map(choice -> choice / k)
              .toArray());
    }

    int first =
        (int)
            Arrays.stream(choices)
                .filter(expert -> Arrays.binarySearch(onDevice, expert) >= 0)
                .count();
    return new HostStep(host, experts, rowsOf, first);
  }

  /** Computes, if there is something. */
  void compute() {
    host.ifPresent(one -> one.compute(experts, rowsOf));
  }

  /** Brings the results, if there are some, to their places among those of all choices. */
  void give(Device device, Tensor results) {
    int count = rowsOf.stream().mapToInt(rows -> rows.length).sum();
    host.ifPresent(one -> one.give(device.rows(results, first, count)));
  }
}
