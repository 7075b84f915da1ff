package io.expertatlas.placement.cli;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.format.ModelConfig;
import io.expertatlas.placement.format.PlacementFormat;
import io.expertatlas.placement.format.PlacementFormats;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * A placement as the command line names it: {@code vanilla}, {@code random}, a csv, a {@code
 * placement.json} or a folder with one, or a file of an engine, each with a label before it if
 * wanted, {@code LABEL=...}.
 *
 * @param label what tables call it
 * @param what the word or the path
 */
record PlacementInput(String label, String what) {
  static final String VANILLA = "vanilla";
  static final String RANDOM = "random";

  /** Words of {@code --placement-format} besides those of engines. */
  static final String AUTO = "auto";

  static final String CSV = "csv";
  static final String JSON = "json";

  /** Parses an argument. An equals sign inside the path of an existing file is no label's. */
  static PlacementInput parse(String argument) {
    int equals = argument.indexOf('=');
    if (equals > 0 && !Files.exists(Path.of(argument))) {
      return new PlacementInput(argument.substring(0, equals), argument.substring(equals + 1));
    }

    return new PlacementInput(argument, argument);
  }

  /**
   * What helps to read files.
   *
   * @param format of all files; empty to tell by the file
   * @param config of the model, for files of engines
   */
  record Reading(Optional<String> format, Optional<ModelConfig> config) {}

  /** The cluster that the file names, if it is a {@code placement.json}. */
  Optional<Topology> topology(Reading reading) throws IOException {
    Optional<Path> json =
        isWord() || engine(Path.of(what), reading).isPresent()
            ? Optional.empty()
            : json(Path.of(what), reading);
    return json.isEmpty()
        ? Optional.empty()
        : Optional.of(PlacementParser.read(json.get()).placement().topology());
  }

  /** Whether it is no file. */
  boolean isWord() {
    return what.equals(VANILLA) || what.equals(RANDOM);
  }

  /**
   * Reads the placement.
   *
   * @param seed for {@code random}
   * @throws PlacementFormatException if it is broken, or for another model or cluster
   */
  Placement read(ModelShape shape, Topology topology, long seed, Reading reading)
      throws IOException {
    if (isWord()) {
      return new Placement(topology, dealt(shape, topology, seed));
    }

    Path path = Path.of(what);
    Optional<PlacementFormat> engine = engine(path, reading);
    if (engine.isPresent()) {
      return engine
          .get()
          .read(
              inFolder(path, engine.get().fileName()),
              ModelOptions.rows(reading.config(), shape),
              shape.experts(),
              topology);
    }

    Optional<Path> json = json(path, reading);
    if (json.isEmpty()) {
      return ExFlowCsv.read(csv(path), shape.layers(), shape.experts(), topology);
    }

    PlacementDocument document = PlacementParser.read(json.get());
    ModelShape found = document.shape();
    if (found.layers() != shape.layers() || found.experts() != shape.experts()) {
      throw new PlacementFormatException(
          "Cannot use %s: it is for %s, here are %s".formatted(json.get(), found, shape));
    }

    if (!document.placement().topology().hasNodesOf(topology)) {
      throw new PlacementFormatException(
          "Cannot use %s: it is for %s GPUs, here are %s"
              .formatted(json.get(), document.placement().topology(), topology));
    }

    return Placement.ofCopies(topology, document.placement().toCopies());
  }

  /** Contiguous blocks; for {@code random}, dealt anew in each layer. */
  private int[][] dealt(ModelShape shape, Topology topology, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int[][] map = new int[shape.layers()][shape.experts()];
    for (int[] layer : map) {
      for (int expert = 0; expert < layer.length; expert++) {
        layer[expert] = (int) ((long) expert * topology.gpus() / layer.length);
        if (what.equals(RANDOM)) {
          int other = random.nextInt(expert + 1);
          int kept = layer[expert];
          layer[expert] = layer[other];
          layer[other] = kept;
        }
      }
    }

    return map;
  }

  /** The engine's format of the file, if it is one's. */
  private static Optional<PlacementFormat> engine(Path path, Reading reading) throws IOException {
    if (reading.format().isPresent()) {
      String format = reading.format().get();
      return format.equals(CSV) || format.equals(JSON)
          ? Optional.empty()
          : Optional.of(PlacementFormats.find(format));
    }

    return Files.isRegularFile(path) ? PlacementFormats.sniff(path) : Optional.empty();
  }

  private static Path inFolder(Path path, String name) {
    return Files.isDirectory(path) ? path.resolve(name) : path;
  }

  private static Optional<Path> json(Path path, Reading reading) throws IOException {
    if (reading.format().isPresent()) {
      return reading.format().get().equals(JSON)
          ? Optional.of(inFolder(path, OutputFiles.JSON))
          : Optional.empty();
    }

    if (Files.isDirectory(path)) {
      Path inside = path.resolve(OutputFiles.JSON);
      return Files.exists(inside) ? Optional.of(inside) : Optional.empty();
    }

    if (!Files.exists(path)) {
      throw new NoSuchFileException(path.toString());
    }

    return path.toString().endsWith(".json") ? Optional.of(path) : Optional.empty();
  }

  private static Path csv(Path path) throws IOException {
    if (!Files.isDirectory(path)) {
      return path;
    }

    try (Stream<Path> files = Files.list(path)) {
      List<Path> found = files.filter(f -> f.toString().endsWith(".csv")).sorted().toList();
      if (found.size() != 1) {
        throw new PlacementFormatException(
            "Cannot use folder %s: it has no placement.json and %d csv files, expected one"
                .formatted(path, found.size()));
      }

      return found.get(0);
    }
  }
}
