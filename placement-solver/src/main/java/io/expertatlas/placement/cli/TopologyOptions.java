package io.expertatlas.placement.cli;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.json.TopologyParser;
import java.io.IOException;
import java.nio.file.Path;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The options that describe the cluster: a picocli {@code @Mixin}. */
final class TopologyOptions {
  @Option(names = "--nodes", paramLabel = "N", description = "Nodes of the cluster.")
  private Integer nodes;

  @Option(names = "--gpus-per-node", paramLabel = "G", description = "GPUs in each node.")
  private Integer gpusPerNode;

  @Option(
      names = "--topology",
      paramLabel = "FILE",
      description =
          "topology.json instead: nodes of unequal size, slots of each GPU, costs of links.")
  private Path file;

  /** Whether the cluster is given. */
  boolean given() {
    return nodes != null || gpusPerNode != null || file != null;
  }

  /**
   * The cluster.
   *
   * @throws ParameterException if an option is missing or one too many, or no such cluster is
   *     possible
   * @throws IOException if the file cannot be read
   */
  Topology topology(CommandSpec command) throws IOException {
    if (file != null) {
      if (nodes != null || gpusPerNode != null) {
        throw new ParameterException(
            command.commandLine(),
            "Invalid cluster: --topology %s and %s exclude each other"
                .formatted(file, nodes != null ? "--nodes" : "--gpus-per-node"));
      }

      return TopologyParser.read(file);
    }

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
