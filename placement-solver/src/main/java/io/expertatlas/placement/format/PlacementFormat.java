package io.expertatlas.placement.format;

import io.expertatlas.affinity.Popularity;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.io.IOException;
import java.nio.file.Path;

/** The file from which one engine loads a placement. Implementations hold no state. */
public interface PlacementFormat {
  /** The word of {@code --export} and {@code --placement-format}. */
  String name();

  /** What the file is called in an output folder. */
  String fileName();

  /** How the engine is told to load the file. */
  String loading();

  /**
   * Refuses before any work what the format cannot hold, whatever the placement.
   *
   * @param experts experts of each layer
   * @param slots slots of each layer, more than experts if some have copies
   * @throws PlacementFormatException if no balanced placement can be written
   */
  void check(int experts, int slots, Topology topology);

  /**
   * The file of a placement.
   *
   * @param layers where the layers of the placement stand in the model
   * @param popularity of the experts; only formats of statistics look at it
   * @throws PlacementFormatException if the format cannot hold this placement
   */
  byte[] bytes(Placement placement, LayerRows layers, Popularity popularity);

  /**
   * Reads a file.
   *
   * @param layers where the layers that are asked for stand in the model
   * @param experts experts of each layer
   * @throws PlacementFormatException if it is broken or for another model or cluster; with file and
   *     line or JSON path
   * @throws IOException if it cannot be read
   */
  Placement read(Path file, LayerRows layers, int experts, Topology topology) throws IOException;
}
