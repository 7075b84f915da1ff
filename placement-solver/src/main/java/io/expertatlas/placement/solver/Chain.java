package io.expertatlas.placement.solver;

import io.expertatlas.affinity.Transitions;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import java.util.Arrays;
import java.util.Objects;

/**
 * The problem as solvers see it: some experts of each layer, a weight for every pair of experts of
 * adjacent layers, and parts to put the experts on. Immutable.
 *
 * <p>A map {@code [layer][i]} gives the part of the i-th expert of a layer. Its cost is {@code sum
 * over gaps, i, j of weight(gap, i, j) * hopCost(part of i, part of j)}. By the grouping argument
 * of the pair program this equals the cost of walking every token.
 */
public final class Chain {
  private final Topology parts;
  private final int[] sizes; // [layer]
  private final long[][] weights; // [gap][i * sizes[gap + 1] + j]
  private final int[][] least; // [layer][part]
  private final int[][] most; // [layer][part]

  /**
   * Creates a chain from copies of its arrays.
   *
   * @param parts where experts go; the cost of a pair is the hop cost between its parts
   * @param sizes {@code [layer]} number of experts
   * @param weights {@code [gap][i * sizes[gap + 1] + j]}, not negative
   * @param least {@code [layer][part]} fewest experts
   * @param most {@code [layer][part]} most experts
   * @throws IllegalArgumentException if the lengths do not fit each other
   */
  public Chain(Topology parts, int[] sizes, long[][] weights, int[][] least, int[][] most) {
    this.parts = Objects.requireNonNull(parts, "parts is null");
    this.sizes = sizes.clone();
    this.weights = copy(weights);
    this.least = Arrays.stream(least).map(int[]::clone).toArray(int[][]::new);
    this.most = Arrays.stream(most).map(int[]::clone).toArray(int[][]::new);
    boolean fits =
        sizes.length > 0
            && weights.length == sizes.length - 1
            && least.length == sizes.length
            && most.length == sizes.length;
    for (int gap = 0; fits && gap < weights.length; gap++) {
      fits = weights[gap].length == sizes[gap] * sizes[gap + 1];
    }

    if (!fits) {
      throw new IllegalArgumentException(
          "Invalid chain: %d layers, %d gaps".formatted(sizes.length, weights.length));
    }
  }

  private static long[][] copy(long[][] values) {
    return Arrays.stream(values).map(long[]::clone).toArray(long[][]::new);
  }

  /** The chain of a whole problem: all experts, the GPUs as parts. */
  public static Chain of(PlacementProblem problem) {
    Transitions transitions = problem.counts().transitions();
    int layers = problem.shape().layers();
    int experts = problem.shape().experts();
    int gpus = problem.topology().gpus();
    long[][] weights = new long[layers - 1][experts * experts];
    for (int gap = 0; gap < layers - 1; gap++) {
      for (int from = 0; from < experts; from++) {
        for (int to = 0; to < experts; to++) {
          weights[gap][from * experts + to] = transitions.firstChoices(gap, from, to);
        }
      }
    }

    int[] sizes = new int[layers];
    Arrays.fill(sizes, experts);
    return new Chain(
        problem.objective().view(problem.topology()),
        sizes,
        weights,
        filled(layers, gpus, problem.least()),
        filled(layers, gpus, problem.most()));
  }

  private static int[][] filled(int layers, int parts, int value) {
    int[][] values = new int[layers][parts];
    for (int[] layer : values) {
      Arrays.fill(layer, value);
    }

    return values;
  }

  /**
   * A part of this chain: some experts, the pairs among them, other parts to go to.
   *
   * @param members {@code [layer][i]} indexes of the experts here
   * @param newParts where they go
   * @param newLeast {@code [layer][part]} fewest experts
   * @param newMost {@code [layer][part]} most experts
   */
  public Chain select(int[][] members, Topology newParts, int[][] newLeast, int[][] newMost) {
    int[] newSizes = Arrays.stream(members).mapToInt(layer -> layer.length).toArray();
    long[][] newWeights = new long[layers() - 1][];
    for (int gap = 0; gap < layers() - 1; gap++) {
      newWeights[gap] = new long[newSizes[gap] * newSizes[gap + 1]];
      int at = 0;
      for (int from : members[gap]) {
        for (int to : members[gap + 1]) {
          newWeights[gap][at++] = weight(gap, from, to);
        }
      }
    }

    return new Chain(newParts, newSizes, newWeights, newLeast, newMost);
  }

  /** Where experts go, and what hops between the parts cost. */
  public Topology parts() {
    return parts;
  }

  /** Number of layers. */
  public int layers() {
    return sizes.length;
  }

  /** Experts of a layer. */
  public int size(int layer) {
    return sizes[layer];
  }

  /** Weight of the pair of expert {@code from} of layer {@code gap} and {@code to} of the next. */
  public long weight(int gap, int from, int to) {
    return weights[gap][from * sizes[gap + 1] + to];
  }

  /** Sum of the weights of a gap. */
  public long total(int gap) {
    return Arrays.stream(weights[gap]).sum();
  }

  /** Pairs with a weight, over all gaps. */
  public long pairs() {
    return Arrays.stream(weights).flatMapToLong(Arrays::stream).filter(w -> w != 0).count();
  }

  /** Fewest experts of a layer on a part. */
  public int least(int layer, int part) {
    return least[layer][part];
  }

  /** Most experts of a layer on a part. */
  public int most(int layer, int part) {
    return most[layer][part];
  }

  /**
   * Whether the names of parts inside a node, and of nodes, do not matter: in each layer all parts
   * have the same bounds, and the topology is symmetric.
   */
  public boolean isSymmetric() {
    if (!parts.isSymmetric()) {
      return false;
    }

    for (int layer = 0; layer < layers(); layer++) {
      for (int part = 1; part < parts.gpus(); part++) {
        if (least[layer][part] != least[layer][0] || most[layer][part] != most[layer][0]) {
          return false;
        }
      }
    }

    return true;
  }

  /** The cost of a map, from scratch. */
  public long cost(int[][] map) {
    long cost = 0;
    for (int gap = 0; gap < layers() - 1; gap++) {
      for (int from = 0; from < sizes[gap]; from++) {
        for (int to = 0; to < sizes[gap + 1]; to++) {
          cost += weight(gap, from, to) * parts.hopCost(map[gap][from], map[gap + 1][to]);
        }
      }
    }

    return cost;
  }

  /** Whether a map meets the bounds. */
  public boolean isMetBy(int[][] map) {
    for (int layer = 0; layer < layers(); layer++) {
      int[] held = new int[parts.gpus()];
      for (int part : map[layer]) {
        held[part]++;
      }

      for (int part = 0; part < held.length; part++) {
        if (held[part] < least[layer][part] || held[part] > most[layer][part]) {
          return false;
        }
      }
    }

    return true;
  }

  /** The placement of a map of a whole problem's chain. */
  public static Placement placement(PlacementProblem problem, int[][] map) {
    return new Placement(problem.topology(), map);
  }
}
