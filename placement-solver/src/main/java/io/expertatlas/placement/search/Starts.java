package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.SplittableRandom;

/** Maps to begin with: {@code [layer][i]}, the part of each expert of a chain. */
public final class Starts {
  private Starts() {}

  /**
   * Contiguous blocks, {@code floor(e * G / E)}: what expert parallelism does if nobody chooses.
   */
  public static int[][] vanilla(PlacementProblem problem) {
    int experts = problem.shape().experts();
    int[][] map = new int[problem.shape().layers()][experts];
    for (int[] layer : map) {
      for (int expert = 0; expert < experts; expert++) {
        layer[expert] = (int) ((long) expert * problem.topology().gpus() / experts);
      }
    }

    return map;
  }

  /** Equal counts at random, each layer on its own. */
  public static int[][] random(Chain chain, SplittableRandom random) {
    int[][] map = new int[chain.layers()][];
    for (int layer = 0; layer < chain.layers(); layer++) {
      int[] slots = slots(chain, layer, random);
      shuffle(slots, random);
      map[layer] = slots;
    }

    return map;
  }

  /**
   * One part for each expert of a layer, within the bounds. What is above the fewest goes to parts
   * with the most room, at random among equals.
   */
  private static int[] slots(Chain chain, int layer, SplittableRandom random) {
    int parts = chain.parts().gpus();
    int[] held = new int[parts];
    int[] order = new int[parts];
    Arrays.setAll(order, part -> part);
    shuffle(order, random);
    int sum = 0;
    for (int part = 0; part < parts; part++) {
      held[part] = chain.least(layer, part);
      sum += held[part];
    }

    for (; sum < chain.size(layer); sum++) {
      int best = -1;
      for (int part : order) {
        int room = chain.most(layer, part) - held[part];
        if (room > 0 && (best < 0 || room > chain.most(layer, best) - held[best])) {
          best = part;
        }
      }

      held[best]++;
    }

    int[] slots = new int[chain.size(layer)];
    int at = 0;
    for (int part = 0; part < parts; part++) {
      Arrays.fill(slots, at, at + held[part], part);
      at += held[part];
    }

    return slots;
  }

  static void shuffle(int[] values, SplittableRandom random) {
    for (int i = values.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int kept = values[i];
      values[i] = values[j];
      values[j] = kept;
    }
  }

  /**
   * A map renamed so that its first layer is named in the order of first use; costs are the same.
   */
  public static int[][] canonical(Topology parts, int[][] map) {
    int perNode = parts.gpusPerNode();
    int[] newNode = new int[parts.nodes()]; // [node]
    int[] newPlace = new int[parts.gpus()]; // [part], place in its node
    Arrays.fill(newNode, -1);
    Arrays.fill(newPlace, -1);
    int[] used = new int[parts.nodes()]; // [node], places named
    int nodesUsed = 0;
    for (int part : map[0]) {
      int node = parts.node(part);
      if (newNode[node] < 0) {
        newNode[node] = nodesUsed++;
      }

      if (newPlace[part] < 0) {
        newPlace[part] = used[node]++;
      }
    }

    for (int part = 0; part < parts.gpus(); part++) {
      int node = parts.node(part);
      newNode[node] = newNode[node] < 0 ? nodesUsed++ : newNode[node];
      newPlace[part] = newPlace[part] < 0 ? used[node]++ : newPlace[part];
    }

    int[][] renamed = new int[map.length][];
    for (int layer = 0; layer < map.length; layer++) {
      renamed[layer] = new int[map[layer].length];
      for (int i = 0; i < map[layer].length; i++) {
        int part = map[layer][i];
        renamed[layer][i] = newNode[parts.node(part)] * perNode + newPlace[part];
      }
    }

    return renamed;
  }
}
