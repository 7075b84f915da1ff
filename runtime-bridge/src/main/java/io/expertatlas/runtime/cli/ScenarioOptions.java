package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.json.LookupTableParser;
import io.expertatlas.runtime.json.MachineParser;
import io.expertatlas.runtime.json.Presets;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.Preset;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.sim.Machine;
import io.expertatlas.runtime.sim.Scenario;
import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** Which model on which machine: a picocli {@code @Mixin}. */
final class ScenarioOptions {
  private static final int GPUS = 4;
  private static final Pattern TOPOLOGY = Pattern.compile("C1\\+G(\\d{1,3})");

  @Option(
      names = "--preset",
      defaultValue = "S",
      paramLabel = "S|M|L",
      description = "Model and profile of APTMoE's artifact (default: ${DEFAULT-VALUE}).")
  private String preset;

  @Option(
      names = "--profile",
      paramLabel = "FILE",
      description = "A profile (JSON lookup table) in place of the preset's.")
  private Path profile;

  @Option(
      names = "--layers",
      paramLabel = "L",
      description = "Layers; default: those of the trace, else the preset's.")
  private Integer layers;

  @Option(
      names = "--stages",
      paramLabel = "S",
      description = "Stages; default: the preset's (gpipe: one for each GPU).")
  private Integer stages;

  @Option(
      names = "--gpus",
      paramLabel = "G",
      description = "GPUs (default: 4; of a forecast by --costs 1).")
  private Integer gpus;

  @Option(
      names = "--chunks",
      paramLabel = "M",
      description = "Micro-batches of a step; default: as many as GPUs.")
  private Integer chunks;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Sequences of a step; default: the preset's.")
  private Integer batchSize;

  @Option(
      names = "--sequence-length",
      paramLabel = "N",
      description = "Tokens of a sequence; default: the preset's.")
  private Integer sequenceLength;

  @Option(
      names = "--top-k",
      defaultValue = "1",
      paramLabel = "K",
      description =
          "Experts that a token visits; a trace says its own (default: ${DEFAULT-VALUE}, as the"
              + " artifact's gate).")
  private int topK;

  @Option(
      names = "--machine",
      paramLabel = "FILE",
      description = "The machine (JSON); default: the cluster of APTMoE's paper.")
  private Path machine;

  @Option(
      names = "--topology",
      paramLabel = "C1+Gn",
      description = "GPUs that share a CPU: C1+G1, C1+G2, C1+G4; default: the machine's.")
  private String topology = "";

  @Option(
      names = "--budget",
      converter = ByteSize.Converter.class,
      paramLabel = "SIZE",
      description = "Memory of a GPU, as in 24GB; default: the machine's.")
  private Long budget;

  Preset preset() {
    return Presets.find(preset);
  }

  int stages() {
    return stages == null ? preset().stages() : stages;
  }

  /** Memory of a GPU of the machine, or what was asked for. */
  long budget(Machine found) {
    return budget == null ? found.gpuMemoryBytes() : budget;
  }

  int batchSize(int otherwise) {
    return batchSize == null ? otherwise : batchSize;
  }

  /** The machine, with the topology that was asked for. */
  Machine machine() throws IOException {
    Machine found = machine == null ? MachineParser.paper() : MachineParser.read(machine);
    return topology.isEmpty() ? found : found.withGpusPerCpu(gpusPerCpu(topology));
  }

  static int gpusPerCpu(String topology) {
    Matcher form = TOPOLOGY.matcher(topology);
    if (!form.matches() || Integer.parseInt(form.group(1)) < 1) {
      throw new IllegalArgumentException(
          "Invalid topology: %s, expected C1+Gn, as in C1+G2".formatted(topology));
    }

    return Integer.parseInt(form.group(1));
  }

  /**
   * The scenario.
   *
   * @param tracedLayers of the trace; 0: there is none
   * @param experts of each layer
   * @param tracedTopK of the trace
   */
  Scenario scenario(int tracedLayers, int experts, int tracedTopK) throws IOException {
    Preset known = preset();
    if (tracedLayers > 0 && layers != null && layers != tracedLayers) {
      throw new IllegalArgumentException(
          "Invalid --layers: %d, the trace has %d".formatted(layers, tracedLayers));
    }

    Machine found = machine();
    LookupTable table = profile == null ? known.table() : LookupTableParser.read(profile);
    return new Scenario(
        table,
        tracedLayers > 0 ? tracedLayers : layers == null ? known.layers() : layers,
        experts,
        known.heads(),
        tracedLayers > 0 ? tracedTopK : topK,
        gpus(GPUS),
        chunks == null ? gpus(GPUS) : chunks,
        batchSize(known.batchSize()),
        sequenceLength == null ? known.sequenceLength() : sequenceLength,
        found,
        budget(found));
  }

  /**
   * The scenario of steps that were recorded.
   *
   * @throws IllegalArgumentException if options say otherwise
   */
  Scenario scenario(RecordedCounts counts) throws IOException {
    Preset known = preset();
    checkSame(counts);
    Machine found = machine();
    return new Scenario(
        profile == null ? known.table() : LookupTableParser.read(profile),
        counts.layers(),
        counts.experts(),
        known.heads(),
        counts.topK(),
        gpus(GPUS),
        counts.microBatches(),
        counts.batch(),
        counts.sequenceLength(),
        found,
        budget(found));
  }

  /**
   * Checks options that steps which were recorded have themselves.
   *
   * @throws IllegalArgumentException if they say otherwise
   */
  void checkSame(RecordedCounts counts) {
    same("--layers", asked(layers), counts.layers());
    same("--chunks", asked(chunks), counts.microBatches());
    same("--batch-size", asked(batchSize), counts.batch());
    same("--sequence-length", asked(sequenceLength), counts.sequenceLength());
  }

  private static OptionalInt asked(Integer value) {
    return value == null ? OptionalInt.empty() : OptionalInt.of(value);
  }

  static void same(String option, OptionalInt asked, int counted) {
    if (asked.isPresent() && asked.getAsInt() != counted) {
      throw new IllegalArgumentException(
          "Invalid %s: %d, the counts have %d".formatted(option, asked.getAsInt(), counted));
    }
  }

  int gpus(int otherwise) {
    return gpus == null ? otherwise : gpus;
  }

  /** Stages that were asked for; null: none were. */
  Integer askedStages() {
    return stages;
  }

  /** Memory of a GPU that was asked for; null: none was. */
  Long askedBudget() {
    return budget;
  }

  String profileName() {
    return profile == null ? "preset " + preset().name() : profile.toString();
  }
}
