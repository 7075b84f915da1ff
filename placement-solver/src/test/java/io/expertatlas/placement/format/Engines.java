package io.expertatlas.placement.format;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** The golden files of engines: 4 MoE layers of 8 experts on 2 nodes of 2 GPUs. */
final class Engines {
  static final Topology CLUSTER = new Topology(2, 2);
  static final LayerRows PLAIN = LayerRows.plain(4);
  static final Popularity POPULARITY = Routes.count(Routes.random(4, 8, 2, 100, 6)).popularity();

  private Engines() {}

  static byte[] golden(String name) throws IOException {
    try (InputStream in = Engines.class.getResourceAsStream("engines/" + name)) {
      return in.readAllBytes();
    }
  }

  /** A golden file as a file. */
  static Path copy(String name, Path folder) throws IOException {
    return Files.write(folder.resolve(name), golden(name));
  }

  static Placement placement(String csv, Path folder) throws IOException {
    return ExFlowCsv.read(copy(csv, folder), 4, 8, CLUSTER);
  }

  /** The placement with copies. */
  static Placement copies() throws IOException {
    int[][][] gpus = new ObjectMapper().readValue(golden("copies-plan.json"), int[][][].class);
    return Placement.ofCopies(CLUSTER, gpus);
  }

  static LayerRows configured(Path folder) throws IOException {
    return LayerRows.of(ModelConfig.read(copy("config.json", folder)), 4, 8);
  }
}
