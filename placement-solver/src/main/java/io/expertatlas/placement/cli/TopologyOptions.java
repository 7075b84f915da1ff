package io.expertatlas.placement.cli;

import io.expertatlas.placement.Topology;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The options that describe the cluster: a picocli {@code @Mixin}. */
final class TopologyOptions {
  @Option(names = "--nodes", paramLabel = "N", description = "Nodes of the cluster.")
  private Integer nodes;

  @Option(names = "--gpus-per-node", paramLabel = "G", description = "GPUs in each node.")
  private Integer gpusPerNode;

  /** Whether the cluster is given. */
  boolean given() {
    return nodes != null || gpusPerNode != null;
  }

  /**
   * The cluster.
   *
   * @throws ParameterException if an option is missing or no such cluster is possible
   */
  Topology topology(CommandSpec command) {
    if (nodes == null || gpusPerNode == null) {
      throw new ParameterException(
          command.commandLine(),
          "Missing required option: '%s'"
              .formatted(nodes == null ? "--nodes=N" : "--gpus-per-node=G"));
    }

    try {
      return new Topology(nodes, gpusPerNode);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
  }
}
