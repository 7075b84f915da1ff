package io.expertatlas.trace.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.Phase;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.parquet.Checksums;
import io.expertatlas.trace.terminal.FormatOptionsMixin;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code atlas inspect}. */
@Command(
    name = "inspect",
    description = "Reads a whole trace, or counts over time, checks it and says what it holds.",
    mixinStandardHelpOptions = true)
final class InspectCommand implements Callable<Integer> {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "T",
      description = "Routing-trace dataset, or a dump of any format that is read.")
  private Path path;

  @Option(names = "--format", paramLabel = "F", description = "Format; else found by looking.")
  private String format = "";

  @Option(names = "--experts", paramLabel = "E", description = "Experts a layer, for raw files.")
  private Integer experts;

  @Option(names = "--sequence-file", paramLabel = "S", description = "Sequence ids, .npy.")
  private Path sequenceFile;

  @Option(names = "--position-file", paramLabel = "P", description = "Positions, .npy.")
  private Path positionFile;

  @Mixin private FormatOptionsMixin formatOptions;

  @Option(names = "--json", description = "Print one JSON object to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    TraceSource source =
        new TraceSource(
            path,
            format,
            experts == null ? OptionalInt.empty() : OptionalInt.of(experts),
            Optional.ofNullable(sequenceFile),
            Optional.ofNullable(positionFile),
            formatOptions.options());
    if (!TraceFormat.fits(source) && CountsFormat.fits(source)) {
      return inspectCounts(source);
    }

    TraceFormat found = TraceFormat.find(source);
    Optional<TraceManifest> manifest =
        found.name().equals("dataset")
            ? Optional.of(TraceManifestParser.read(path))
            : Optional.empty();
    if (manifest.isPresent()) {
      verify(manifest.get());
    }

    Inspection inspection;
    try (TraceReader reader = found.open(source)) {
      inspection = Inspection.of(reader);
    }

    if (manifest.isPresent() && manifest.get().sequences() != inspection.sequences()) {
      throw new TraceFormatException(
          "Invalid dataset %s: %d sequences found, by its manifest %d"
              .formatted(path, inspection.sequences(), manifest.get().sequences()));
    }

    Optional<StatesInspection> states =
        RouterStatesFormat.fits(source)
            ? Optional.of(StatesInspection.of(source))
            : Optional.empty();
    if (json) {
      ObjectNode root = json(found.name(), inspection, manifest);
      states.ifPresent(some -> some.addTo(root));
      printJson(root);
    } else {
      print(found.name(), inspection, manifest, states);
    }

    return 0;
  }

  private int inspectCounts(TraceSource source) throws IOException {
    CountsFormat found = CountsFormat.find(source);
    CountsInspection inspection;
    try (CountsReader reader = found.open(source)) {
      inspection = CountsInspection.of(reader);
    }

    if (json) {
      ObjectNode root = MAPPER.createObjectNode();
      root.put("format", found.name());
      inspection.addTo(root);
      root.put("bytes", bytes());
      printJson(root);
    } else {
      PrintWriter err = spec.commandLine().getErr();
      err.printf("%s (%s, %,d bytes)%n", path, found.name(), bytes());
      inspection.print(err);
      err.flush();
    }

    return 0;
  }

  private void printJson(ObjectNode root) throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    out.println(MAPPER.writeValueAsString(root));
    out.flush();
  }

  private void verify(TraceManifest manifest) throws IOException {
    for (TraceManifest.Part part : manifest.parts()) {
      Path file = path.resolve(part.file());
      if (!Files.isRegularFile(file)) {
        continue; // opening says it better
      }

      String sha256 = Checksums.sha256(file);
      if (!sha256.equals(part.sha256())) {
        throw new TraceFormatException(
            "Invalid part of the dataset: SHA-256 of %s is %s, by the manifest %s"
                .formatted(file, sha256, part.sha256()));
      }
    }
  }

  private long bytes() throws IOException {
    if (!Files.isDirectory(path)) {
      return Files.size(path);
    }

    try (Stream<Path> files = Files.list(path)) {
      long sum = 0;
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        sum += Files.size(file);
      }

      return sum;
    }
  }

  private ObjectNode json(String formatName, Inspection found, Optional<TraceManifest> manifest)
      throws IOException {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format", formatName);
    root.put("layers", found.shape().layers());
    root.put("experts", found.shape().experts());
    root.put("top-k", found.shape().topK());
    root.put("tokens", found.tokens());
    root.put("sequences", found.sequences());
    root.put("shortest-sequence", found.shortestSequence());
    root.put("longest-sequence", found.longestSequence());
    root.put("prefill-tokens", found.tokens(Phase.PREFILL));
    root.put("decode-tokens", found.tokens(Phase.DECODE));
    root.put("weights", found.weights());
    root.put("position-jumps", found.jumps());
    root.put("rising-weights", found.risingWeights());
    root.put("bytes", bytes());
    ArrayNode layers = root.putArray("load");
    for (int layer = 0; layer < found.shape().layers(); layer++) {
      ObjectNode node = layers.addObject();
      node.put("layer", layer);
      node.put("used-experts", found.usedExperts(layer));
      node.put("max-over-mean", found.maxOverMean(layer));
    }

    if (manifest.isPresent()) {
      try {
        root.set("manifest", MAPPER.readTree(TraceManifestParser.toJson(manifest.get())));
      } catch (JsonProcessingException e) {
        throw new IllegalStateException("A manifest is JSON", e);
      }
    }

    return root;
  }

  private void print(
      String formatName,
      Inspection found,
      Optional<TraceManifest> manifest,
      Optional<StatesInspection> states)
      throws IOException {
    PrintWriter err = spec.commandLine().getErr();
    err.printf("%s (%s, %,d bytes)%n", path, formatName, bytes());
    err.printf("  model      %s%n", found.shape());
    err.printf(
        "  tokens     %,d: %,d prefill, %,d decode%n",
        found.tokens(), found.tokens(Phase.PREFILL), found.tokens(Phase.DECODE));
    err.printf(
        "  sequences  %,d of %,d to %,d tokens; %,d positions do not follow the one before%n",
        found.sequences(), found.shortestSequence(), found.longestSequence(), found.jumps());
    err.printf(
        "  weights    %s%n",
        found.weights()
            ? "yes; %,d above the weight ranked before".formatted(found.risingWeights())
            : "none");
    states.ifPresent(some -> err.printf("  states     %s%n", some));
    if (manifest.isPresent()) {
      err.printf("  parts      %d, checksums match%n", manifest.get().parts().size());
      for (TraceManifest.Source source : manifest.get().sources()) {
        err.printf(
            "  from       %s (%s), %,d tokens, sequence ids + %d%n",
            source.name(), source.format(), source.tokens(), source.sequenceOffset());
      }
    }

    err.printf("  layer  used experts  busiest / mean%n");
    for (int layer = 0; layer < found.shape().layers(); layer++) {
      err.printf(
          "  %5d  %5d of %4d  %14.2f%n",
          layer, found.usedExperts(layer), found.shape().experts(), found.maxOverMean(layer));
    }

    err.flush();
  }
}
