package io.expertatlas.placement.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.BooleanSupplier;

/**
 * A lower bound on dealing the experts of layers to equal groups, semidefinite and proven by its
 * dual.
 *
 * <p>Given weights between the experts of adjacent layers, and of one layer, and {@code groups}
 * groups of {@code size} experts of each layer: how much weight can stay inside groups at most? The
 * matrix {@code X} of two adjacent layers, {@code X[i,j] = 1} if i and j are in one group, is
 * {@code J / groups} plus {@code 2 * size} times a projection of rank {@code groups - 1} that
 * vanishes on constant vectors: its hull is a Fantope. Its entries are from 0 to 1, its diagonal is
 * 1, its rows hold {@code size} ones in each layer, and neighbours agree on the layer they share.
 * This holds for the chain of pairs of layers:
 *
 * <pre>
 * max  sum over gaps of &lt;weights, T&gt; + sum over layers of &lt;weights, S&gt;
 *      X[gap] = (S[gap], T[gap]; T[gap]', S[gap + 1]) in the Fantope,  0 &lt;= S, T &lt;= 1
 * </pre>
 *
 * <p>It is solved by alternating directions (Boyd and others 2011): project each pair of layers on
 * the Fantope, then entries on their bounds. The multipliers of any step give a bound: what they
 * let the Fantopes save is a sum of smallest eigenvalues (Fan 1949), what they let the entries save
 * a min-cost flow ({@link GramDual}). With no multipliers it is the {@link GapBound}; it only grows
 * from there.
 */
final class GramBound {
  private static final double RELAXATION = 1.6;

  /** Rounds of projections between evaluations of the bound. */
  static final int STEPS = 25;

  private final int experts;
  private final int groups;
  private final int size; // experts of a layer in a group
  private final int layers;
  private final int blocks; // layers of a matrix
  private final int width; // of a matrix
  private final double[][] pairs; // [gap][i * experts + j], in units
  private final double[][] inside; // [layer][i * experts + j], symmetric, in units
  private final double unit;
  private final double[][] sets; // [layer][i * experts + j], S
  private final double[][] steps; // [gap][i * experts + j], T
  private final double[][] multipliers; // [matrix][row * width + column], over rho
  private final double[][] projected; // [matrix][row * width + column]
  private final Fantope fantope;
  private final int[][][] holders; // [layer][]: a matrix that holds it, its first row there
  private double rho = 0.1;

  /**
   * Prepares the relaxation.
   *
   * @param experts of each layer, {@code groups} times a whole number
   * @param groups at least 2
   * @param pairs {@code [gap][i * experts + j]} weights between layers, or no gap: then the layers
   *     are each alone
   * @param inside {@code [layer][i * experts + j]} weights in layers, symmetric
   */
  GramBound(int experts, int groups, double[][] pairs, double[][] inside) {
    this.experts = experts;
    this.groups = groups;
    this.size = experts / groups;
    this.layers = inside.length;
    this.blocks = pairs.length > 0 ? 2 : 1;
    this.width = blocks * experts;
    double total = 0;
    for (double[][] all : List.of(pairs, inside)) {
      for (double[] layer : all) {
        total += Arrays.stream(layer).sum();
      }
    }

    this.unit = total > 0 ? total / (layers * (double) experts) : 1;
    this.pairs = scaled(pairs);
    this.inside = scaled(inside);
    int matrices = blocks == 2 ? layers - 1 : layers;
    this.sets = new double[layers][experts * experts];
    this.steps = new double[pairs.length][experts * experts];
    this.multipliers = new double[matrices][width * width];
    this.projected = new double[matrices][width * width];
    this.holders = new int[layers][][];
    Arrays.setAll(holders, this::holders);
    this.fantope = new Fantope(experts, groups, blocks);
    start();
  }

  private double[][] scaled(double[][] weights) {
    return Arrays.stream(weights)
        .map(layer -> Arrays.stream(layer).map(weight -> weight / unit).toArray())
        .toArray(double[][]::new);
  }

  private int[][] holders(int layer) {
    if (blocks == 1) {
      return new int[][] {{layer, 0}};
    }

    return layer == 0
        ? new int[][] {{0, 0}}
        : layer == layers - 1
            ? new int[][] {{layer - 1, experts}}
            : new int[][] {{layer - 1, experts}, {layer, 0}};
  }

  private void start() {
    for (double[] step : steps) {
      Arrays.fill(step, 1.0 / groups);
    }

    for (double[] set : sets) {
      Arrays.fill(set, (size - 1.0) / Math.max(1, experts - 1));
      for (int i = 0; i < experts; i++) {
        set[i * experts + i] = 1;
      }
    }
  }

  /** Sees the relaxation from time to time. */
  interface Watch {
    /**
     * Called after some steps; may change the weights.
     *
     * @param mostStays what the multipliers prove for the weights as they were
     * @return whether to go on
     */
    boolean goesOn(double mostStays);
  }

  /** How far two experts of a layer share a group in the relaxation now, 0 to 1. */
  double together(int layer, int one, int other) {
    return sets[layer][one * experts + other];
  }

  /** How far experts of adjacent layers share a group in the relaxation now, 0 to 1. */
  double stays(int gap, int from, int to) {
    return steps[gap][from * experts + to];
  }

  /** Adds to the weight of two experts of adjacent layers. */
  void addPair(int gap, int from, int to, double weight) {
    pairs[gap][from * experts + to] += weight / unit;
  }

  /** Adds to the weight of two experts of a layer. */
  void addInside(int layer, int one, int other, double weight) {
    inside[layer][one * experts + other] += weight / unit;
    if (one != other) {
      inside[layer][other * experts + one] += weight / unit;
    }
  }

  /**
   * Lowers the bound on the weight that can stay, until told to stop.
   *
   * @param workers carry out the projections
   */
  void run(Workers workers, BooleanSupplier isTimeUp, Watch watch) {
    boolean goesOn = watch.goesOn(dual().mostStays(workers) * unit);
    while (goesOn && !isTimeUp.getAsBoolean()) {
      for (int step = 0; step < STEPS && !isTimeUp.getAsBoolean(); step++) {
        step(workers);
      }

      goesOn = watch.goesOn(dual().mostStays(workers) * unit);
    }
  }

  /** What the multipliers prove now. */
  private GramDual dual() {
    return new GramDual(experts, groups, fantope, pairs, inside, multipliers, holders, rho);
  }

  /** One round of both projections; balances the size of the two residuals now and then. */
  private void step(Workers workers) {
    List<Callable<Integer>> tasks = new ArrayList<>();
    for (int i = 0; i < projected.length; i++) {
      int at = i;
      tasks.add(
          () -> {
            project(at);
            return at;
          });
    }

    workers.all(tasks);
    double moved = 0;
    for (int layer = 0; layer < layers; layer++) {
      moved += updateSet(layer);
    }

    for (int gap = 0; gap < steps.length; gap++) {
      moved += updateStep(gap);
    }

    double apart = 0;
    for (int at = 0; at < projected.length; at++) {
      apart += updateMultipliers(at);
    }

    balance(Math.sqrt(apart), Math.sqrt(moved) * Math.sqrt(blocks));
  }

  private void balance(double apart, double moved) {
    double factor = apart > 4 * moved ? 1.25 : moved > 4 * apart ? 0.8 : 1;
    if (factor != 1) {
      rho *= factor;
      for (double[] multiplier : multipliers) {
        for (int i = 0; i < multiplier.length; i++) {
          multiplier[i] /= factor;
        }
      }
    }
  }

  /** The entry of the matrix of both layers as the entries stand now. */
  private double entry(int matrix, int row, int column) {
    int i = row % experts;
    int j = column % experts;
    if (blocks == 1) {
      return sets[matrix][i * experts + j];
    }

    boolean lower = row >= experts;
    boolean right = column >= experts;
    if (lower == right) {
      return sets[lower ? matrix + 1 : matrix][i * experts + j];
    }

    return right ? steps[matrix][i * experts + j] : steps[matrix][j * experts + i];
  }

  private void project(int matrix) {
    double[] full = projected[matrix];
    for (int row = 0; row < width; row++) {
      for (int column = 0; column < width; column++) {
        int at = row * width + column;
        full[at] = entry(matrix, row, column) - multipliers[matrix][at];
      }
    }

    fantope.project(full);
    for (int row = 0; row < width; row++) {
      for (int column = 0; column < width; column++) {
        int at = row * width + column;
        full[at] =
            RELAXATION * (full[at] + 1.0 / groups) + (1 - RELAXATION) * entry(matrix, row, column);
      }
    }
  }

  private double updateSet(int layer) {
    double moved = 0;
    int[][] own = holders[layer];
    double[] set = sets[layer];
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < i; j++) {
        double sum = inside[layer][i * experts + j] / (2 * rho);
        for (int[] holder : own) {
          int at = (holder[1] + i) * width + holder[1] + j;
          sum += projected[holder[0]][at] + multipliers[holder[0]][at];
        }

        double next = Math.min(1, Math.max(0, sum / own.length));
        double change = next - set[i * experts + j];
        moved += 2 * own.length * change * change;
        set[i * experts + j] = next;
        set[j * experts + i] = next;
      }
    }

    return moved;
  }

  private double updateStep(int gap) {
    double moved = 0;
    double[] step = steps[gap];
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < experts; j++) {
        int at = i * width + experts + j;
        double next =
            projected[gap][at] + multipliers[gap][at] + pairs[gap][i * experts + j] / (2 * rho);
        next = Math.min(1, Math.max(0, next));
        double change = next - step[i * experts + j];
        moved += 2 * change * change;
        step[i * experts + j] = next;
      }
    }

    return moved;
  }

  private double updateMultipliers(int matrix) {
    double apart = 0;
    for (int row = 0; row < width; row++) {
      for (int column = 0; column <= row; column++) {
        int at = row * width + column;
        double difference = projected[matrix][at] - entry(matrix, row, column);
        double next = multipliers[matrix][at] + difference;
        multipliers[matrix][at] = next;
        multipliers[matrix][column * width + row] = next;
        apart += (row == column ? 1 : 2) * difference * difference;
      }
    }

    return apart;
  }
}
