package io.expertatlas.runtime.sim;

import java.util.List;
import java.util.Objects;

/**
 * A machine of GPUs in nodes, all nodes alike.
 *
 * @param name in words
 * @param nodes number of nodes
 * @param rootComplexes GPUs of a node under each root complex, numbered from 0
 * @param cpuCores cores of a CPU
 * @param gpusPerCpu processes, one for each GPU, that share a CPU's cores: C1+Gn
 * @param gpuFlopsPerSecond what a GPU sustains, where a profile has no GPU times
 * @param gpuLaunchNanos added to each attention and each expert on a GPU, for the same case
 * @param gpuMemoryBytes of a GPU
 * @param hostToDeviceBytesPerSecond of one GPU's copies; 0: as the profile measured
 * @param deviceToHostBytesPerSecond of one GPU's copies; 0: as the other direction
 * @param rootComplexBytesPerSecond in each direction, of all GPUs under one; 0: never the limit
 * @param peerBytesPerSecond between GPUs of a node
 * @param networkBytesPerSecond between nodes
 * @param latencyNanos of a message
 */
public record Machine(
    String name,
    int nodes,
    List<List<Integer>> rootComplexes,
    int cpuCores,
    int gpusPerCpu,
    double gpuFlopsPerSecond,
    long gpuLaunchNanos,
    long gpuMemoryBytes,
    double hostToDeviceBytesPerSecond,
    double deviceToHostBytesPerSecond,
    double rootComplexBytesPerSecond,
    double peerBytesPerSecond,
    double networkBytesPerSecond,
    long latencyNanos) {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is out of range, or the root complexes do not hold each
   *     GPU of a node once
   */
  public Machine {
    Objects.requireNonNull(name, "name is null");
    rootComplexes = rootComplexes.stream().map(List::copyOf).toList();
    List<Integer> all = rootComplexes.stream().flatMap(List::stream).sorted().toList();
    for (int gpu = 0; gpu < all.size(); gpu++) {
      if (all.get(gpu) != gpu) {
        throw new IllegalArgumentException(
            "Invalid root complexes: %s, expected each GPU of a node from 0 once"
                .formatted(rootComplexes));
      }
    }

    check("number of nodes", nodes, 1);
    check("number of GPUs in a node", all.size(), 1);
    check("number of CPU cores", cpuCores, 1);
    check("number of GPUs a CPU", gpusPerCpu, 1);
    check("GPU memory", gpuMemoryBytes, 1);
    check("GPU speed", gpuFlopsPerSecond, 1);
    check("speed between GPUs", peerBytesPerSecond, 1);
    check("speed between nodes", networkBytesPerSecond, 1);
    check("speed from host to device", hostToDeviceBytesPerSecond, 0);
    check("speed from device to host", deviceToHostBytesPerSecond, 0);
    check("speed of a root complex", rootComplexBytesPerSecond, 0);
    check("launch time", gpuLaunchNanos, 0);
    check("latency", latencyNanos, 0);
    if (gpusPerCpu > cpuCores) {
      throw new IllegalArgumentException(
          "Invalid number of GPUs a CPU: %d share %d cores".formatted(gpusPerCpu, cpuCores));
    }
  }

  private static void check(String what, double value, double least) {
    if (!(value >= least) || Double.isInfinite(value)) {
      throw new IllegalArgumentException(
          "Invalid %s: %s, at least %s".formatted(what, value, least));
    }
  }

  /** GPUs of a node. */
  public int gpusPerNode() {
    return rootComplexes.stream().mapToInt(List::size).sum();
  }

  /** GPUs of the machine. */
  public int gpus() {
    return nodes * gpusPerNode();
  }

  /** Cores that compute the experts of one GPU's process. */
  public int coresPerProcess() {
    return cpuCores / gpusPerCpu;
  }

  /** The root complex of a GPU, numbered through all nodes. */
  public int complexOf(int gpu) {
    int node = Math.floorDiv(gpu, gpusPerNode());
    for (int complex = 0; node >= 0 && node < nodes && complex < rootComplexes.size(); complex++) {
      if (rootComplexes.get(complex).contains(gpu % gpusPerNode())) {
        return node * rootComplexes.size() + complex;
      }
    }

    throw new IllegalArgumentException(
        "Invalid GPU: %d, the machine has %d".formatted(gpu, gpus()));
  }

  /** Whether two GPUs are in one node. */
  public boolean isOneNode(int a, int b) {
    return a / gpusPerNode() == b / gpusPerNode();
  }

  /** The same machine with CPUs that serve another number of GPUs. */
  public Machine withGpusPerCpu(int others) {
    return new Machine(
        name,
        nodes,
        rootComplexes,
        cpuCores,
        others,
        gpuFlopsPerSecond,
        gpuLaunchNanos,
        gpuMemoryBytes,
        hostToDeviceBytesPerSecond,
        deviceToHostBytesPerSecond,
        rootComplexBytesPerSecond,
        peerBytesPerSecond,
        networkBytesPerSecond,
        latencyNanos);
  }
}
