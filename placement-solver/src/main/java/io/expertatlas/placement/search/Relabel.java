package io.expertatlas.placement.search;

import io.expertatlas.affinity.Transitions;
import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import java.util.Arrays;
import java.util.Optional;

/**
 * Renames the GPUs of a node, and the nodes, layer by layer, so that first choices hop as little as
 * possible. Who shares a GPU or a node stays as it is, so load and fan-out do too. The best names
 * of a layer depend on the layer before alone: one assignment a gap is exact.
 */
public final class Relabel {
  private Relabel() {}

  /**
   * The map with the fewest hops among those that differ from a map in names only.
   *
   * @param map {@code [layer][expert]} of the whole problem
   */
  public static int[][] of(PlacementProblem problem, int[][] map) {
    PlacementProblem hops = problem.withCaps(Caps.NONE).withObjective(Objective.HOPS);
    return of(Chain.of(hops, new Prices(1, 0, 0, 0)), map);
  }

  /**
   * The placement with the fewest hops among those that differ from one in names only. GPUs with
   * other slots or links keep their names.
   *
   * @return empty if experts have several copies
   */
  public static Optional<Placement> of(Transitions transitions, Placement placement) {
    if (placement.hasCopies()) {
      return Optional.empty();
    }

    Topology topology = placement.topology();
    int experts = placement.experts();
    int[] sizes = new int[placement.layers()];
    Arrays.fill(sizes, experts);
    long[][] weights = new long[transitions.gaps()][experts * experts];
    for (int gap = 0; gap < weights.length; gap++) {
      for (int pair = 0; pair < weights[gap].length; pair++) {
        weights[gap][pair] = transitions.firstChoices(gap, pair / experts, pair % experts);
      }
    }

    int[][] least = new int[sizes.length][topology.gpus()];
    int[][] most = new int[sizes.length][topology.gpus()];
    for (int[] layer : most) {
      Arrays.setAll(layer, gpu -> topology.hasSlots() ? topology.slots(gpu) : experts);
    }

    Chain chain = new Chain(topology, sizes, weights, least, most);
    return Optional.of(new Placement(topology, of(chain, placement.toArray())));
  }

  /** The same for the pairs of a chain. */
  static int[][] of(Chain chain, int[][] map) {
    int[][] renamed = Arrays.stream(map).map(int[]::clone).toArray(int[][]::new);
    int parts = chain.parts().gpus();
    BestNames names = new BestNames(chain);
    long[] stays = new long[parts * parts]; // [part before][part now]
    int[] sameAs = new int[parts];
    for (int layer = 1; layer < map.length; layer++) {
      Arrays.fill(stays, 0);
      int[] before = renamed[layer - 1];
      int[] now = renamed[layer];
      for (int i = 0; i < before.length; i++) {
        for (int j = 0; j < now.length; j++) {
          stays[before[i] * parts + now[j]] += chain.weight(layer - 1, i, j);
        }
      }

      names.names(stays, sameAs);
      for (int j = 0; j < now.length; j++) {
        now[j] = sameAs[now[j]];
      }
    }

    return renamed;
  }
}
