package io.expertatlas.runtime.json;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.pipeline.PipelineFormatException;
import io.expertatlas.runtime.sim.Machine;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/** A {@link Machine} as JSON, format-version 1; keys are those of the record, kebab-case. */
public final class MachineParser {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final String PAPER = "machine-a800.json";

  private MachineParser() {}

  /**
   * Reads a file.
   *
   * @throws PipelineFormatException if it is no machine; with file and field
   * @throws IOException if it cannot be read
   */
  public static Machine read(Path file) throws IOException {
    return Fields.read(file, MachineParser::parse);
  }

  /**
   * Parses a machine.
   *
   * @param name of the file, for messages
   * @throws PipelineFormatException if it is none; with name and field
   */
  public static Machine fromJson(String json, String name) {
    return Fields.parse(json, name, MachineParser::parse);
  }

  /** The machine of APTMoE's paper, as far as it is told; shipped as data. */
  public static Machine paper() {
    try (InputStream in = MachineParser.class.getResourceAsStream(PAPER)) {
      if (in == null) {
        throw new IllegalStateException("Cannot find %s on the class path".formatted(PAPER));
      }

      return fromJson(new String(in.readAllBytes(), StandardCharsets.UTF_8), PAPER);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Machine parse(Fields root) {
    root.version();
    return new Machine(
        root.text("name"),
        root.count("nodes"),
        root.wholeLists("root-complexes"),
        root.count("cpu-cores"),
        root.count("gpus-per-cpu"),
        root.number("gpu-flops-per-second"),
        root.whole("gpu-launch-nanos", 0, Long.MAX_VALUE),
        root.whole("gpu-memory-bytes", 1, Long.MAX_VALUE),
        root.number("host-to-device-bytes-per-second"),
        root.number("device-to-host-bytes-per-second"),
        root.number("root-complex-bytes-per-second"),
        root.number("peer-bytes-per-second"),
        root.number("network-bytes-per-second"),
        root.whole("latency-nanos", 0, Long.MAX_VALUE));
  }

  /** The machine as JSON. */
  public static String toJson(Machine machine) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", 1);
    root.put("name", machine.name());
    root.put("nodes", machine.nodes());
    ArrayNode complexes = root.putArray("root-complexes");
    for (List<Integer> gpus : machine.rootComplexes()) {
      ArrayNode complex = complexes.addArray();
      gpus.forEach(complex::add);
    }

    root.put("cpu-cores", machine.cpuCores());
    root.put("gpus-per-cpu", machine.gpusPerCpu());
    root.put("gpu-flops-per-second", machine.gpuFlopsPerSecond());
    root.put("gpu-launch-nanos", machine.gpuLaunchNanos());
    root.put("gpu-memory-bytes", machine.gpuMemoryBytes());
    root.put("host-to-device-bytes-per-second", machine.hostToDeviceBytesPerSecond());
    root.put("device-to-host-bytes-per-second", machine.deviceToHostBytesPerSecond());
    root.put("root-complex-bytes-per-second", machine.rootComplexBytesPerSecond());
    root.put("peer-bytes-per-second", machine.peerBytesPerSecond());
    root.put("network-bytes-per-second", machine.networkBytesPerSecond());
    root.put("latency-nanos", machine.latencyNanos());
    return root.toPrettyString() + "\n";
  }
}
