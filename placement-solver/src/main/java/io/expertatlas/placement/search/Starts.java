package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.SlotBounds;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/** Maps to begin with: {@code [layer][i]}, the part of each expert of a chain. */
public final class Starts {
  private Starts() {}

  /**
   * Contiguous blocks, {@code floor(e * G / E)}: what expert parallelism does if nobody chooses. If
   * that is not within the bounds of the GPUs, blocks of the sizes that are.
   */
  public static int[][] vanilla(PlacementProblem problem) {
    int experts = problem.shape().experts();
    int gpus = problem.topology().gpus();
    int[] blocks = new int[experts];
    int[] held = new int[gpus];
    for (int expert = 0; expert < experts; expert++) {
      blocks[expert] = (int) ((long) expert * gpus / experts);
      held[blocks[expert]]++;
    }

    SlotBounds slots = problem.slots();
    if (!IntStream.range(0, gpus).allMatch(gpu -> slots.allows(gpu, held[gpu]))) {
      int[] order = IntStream.range(0, gpus).toArray();
      blocks = blocks(held(gpus, slots::least, slots::most, experts, order), experts);
    }

    int[][] map = new int[problem.shape().layers()][];
    for (int layer = 0; layer < map.length; layer++) {
      map[layer] = blocks.clone();
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
    int[] order = new int[parts];
    Arrays.setAll(order, part -> part);
    shuffle(order, random);
    int[] held =
        held(
            parts,
            part -> chain.least(layer, part),
            part -> chain.most(layer, part),
            chain.size(layer),
            order);
    return blocks(held, chain.size(layer));
  }

  /** Experts on each part: the fewest, and the others where most room is left. */
  private static int[] held(
      int parts, IntUnaryOperator least, IntUnaryOperator most, int experts, int[] order) {
    int[] held = new int[parts];
    Arrays.setAll(held, least);
    for (int sum = Arrays.stream(held).sum(); sum < experts; sum++) {
      int best = -1;
      for (int part : order) {
        int room = most.applyAsInt(part) - held[part];
        if (room > 0 && (best < 0 || room > most.applyAsInt(best) - held[best])) {
          best = part;
        }
      }

      held[best]++;
    }

    return held;
  }

  private static int[] blocks(int[] held, int experts) {
    int[] blocks = new int[experts];
    int at = 0;
    for (int part = 0; part < held.length; part++) {
      Arrays.fill(blocks, at, at + held[part], part);
      at += held[part];
    }

    return blocks;
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
