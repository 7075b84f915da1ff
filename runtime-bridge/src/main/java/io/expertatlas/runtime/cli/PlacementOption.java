package io.expertatlas.runtime.cli;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The placement that {@code --placement} names. */
final class PlacementOption {
  private static final String VANILLA = "vanilla";

  private PlacementOption() {}

  /**
   * Reads a placement.
   *
   * @param what {@code vanilla}, a {@code placement.json}, a folder with one, or ExFlow's csv
   * @param ranks 0 if not given: as the file says
   * @throws PlacementFormatException if it is broken, or for another model or number of ranks
   */
  static Placement read(String what, ModelShape shape, int ranks) throws IOException {
    if (what.equals(VANILLA)) {
      return vanilla(shape, Math.max(1, ranks));
    }

    Path path = Path.of(what);
    Path json = Files.isDirectory(path) ? path.resolve("placement.json") : path;
    if (!json.toString().endsWith(".json")) {
      if (ranks == 0) {
        throw new PlacementFormatException(
            "Cannot use %s: a csv does not say the number of ranks. Maybe add --ranks"
                .formatted(path));
      }

      return ExFlowCsv.read(path, shape.layers(), shape.experts(), new Topology(1, ranks));
    }

    PlacementDocument document = PlacementParser.read(json);
    ModelShape found = document.shape();
    if (found.layers() != shape.layers() || found.experts() != shape.experts()) {
      throw new PlacementFormatException(
          "Cannot use %s: it is for %s, the model has %s".formatted(json, found, shape));
    }

    int gpus = document.placement().topology().gpus();
    if (ranks != 0 && gpus != ranks) {
      throw new PlacementFormatException(
          "Cannot use %s: it is for %d GPUs, --ranks is %d".formatted(json, gpus, ranks));
    }

    return document.placement();
  }

  /** Contiguous blocks: expert e of E on rank floor(e * R / E). */
  private static Placement vanilla(ModelShape shape, int ranks) {
    int[][] map = new int[shape.layers()][shape.experts()];
    for (int[] layer : map) {
      for (int expert = 0; expert < layer.length; expert++) {
        layer[expert] = (int) ((long) expert * ranks / layer.length);
      }
    }

    return new Placement(new Topology(1, ranks), map);
  }
}
