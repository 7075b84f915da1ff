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
 * a min-cost flow. With no multipliers it is the {@link GapBound}; it only grows from there.
 */
final class GramBound {
  private static final double RELAXATION = 1.6;

  /** Rounds of projections between evaluations of the bound. */
  static final int STEPS = 25;

  private static final double UNITS = 1L << 30; // of flow weights
  private static final double ROUNDING = 1e-9; // of the largest multipliers

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
  private final double[] mirror; // [i], the reflection that makes constant vectors the first axis
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
    this.mirror = new double[experts];
    start();
  }

  private double[][] scaled(double[][] weights) {
    return Arrays.stream(weights)
        .map(layer -> Arrays.stream(layer).map(weight -> weight / unit).toArray())
        .toArray(double[][]::new);
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

    double root = Math.sqrt(experts);
    double norm = Math.sqrt(2 * (1 + 1 / root));
    Arrays.fill(mirror, 1 / root / norm);
    mirror[0] = (1 / root + 1) / norm;
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
    boolean goesOn = watch.goesOn(evaluate(workers));
    while (goesOn && !isTimeUp.getAsBoolean()) {
      for (int step = 0; step < STEPS && !isTimeUp.getAsBoolean(); step++) {
        step(workers);
      }

      goesOn = watch.goesOn(evaluate(workers));
    }
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

    int inner = blocks * (experts - 1);
    double[] reduced = reduced(full);
    SymmetricEigen eigen = new SymmetricEigen(inner);
    eigen.decompose(reduced, true);
    double[] kept = fantope(eigen, inner);
    double[] hull = new double[inner * inner];
    for (int i = 0; i < inner; i++) {
      if (kept[i] > 0) {
        eigen.addSquare(i, kept[i], hull);
      }
    }

    lift(hull, full);
    for (int row = 0; row < width; row++) {
      for (int column = 0; column < width; column++) {
        int at = row * width + column;
        full[at] =
            RELAXATION * (full[at] + 1.0 / groups) + (1 - RELAXATION) * entry(matrix, row, column);
      }
    }
  }

  /** Eigenvalues moved by one amount and cut to 0 and the most, so that they sum to the trace. */
  private double[] fantope(SymmetricEigen eigen, int inner) {
    double most = (double) blocks * size;
    double trace = most * (groups - 1);
    double low = Double.MAX_VALUE;
    double high = -Double.MAX_VALUE;
    for (int i = 0; i < inner; i++) {
      low = Math.min(low, eigen.value(i) - most);
      high = Math.max(high, eigen.value(i));
    }

    double[] kept = new double[inner];
    for (int step = 0; step < 60; step++) {
      double middle = (low + high) / 2;
      double sum = 0;
      for (int i = 0; i < inner; i++) {
        kept[i] = Math.min(most, Math.max(0, eigen.value(i) - middle));
        sum += kept[i];
      }

      if (sum > trace) {
        low = middle;
      } else {
        high = middle;
      }
    }

    return kept;
  }

  /** The part of a matrix that is orthogonal to constant vectors of each layer. */
  private double[] reduced(double[] full) {
    double[] turned = full.clone();
    reflect(turned);
    int inner = blocks * (experts - 1);
    double[] reduced = new double[inner * inner];
    for (int row = 0; row < inner; row++) {
      int from = (row + row / (experts - 1) + 1) * width;
      for (int column = 0; column < inner; column++) {
        reduced[row * inner + column] = turned[from + column + column / (experts - 1) + 1];
      }
    }

    return reduced;
  }

  /** The inverse of {@link #reduced}. */
  private void lift(double[] reduced, double[] full) {
    Arrays.fill(full, 0);
    int inner = blocks * (experts - 1);
    for (int row = 0; row < inner; row++) {
      int to = (row + row / (experts - 1) + 1) * width;
      for (int column = 0; column < inner; column++) {
        full[to + column + column / (experts - 1) + 1] = reduced[row * inner + column];
      }
    }

    reflect(full);
  }

  /** Reflects rows and columns of each layer, so that constant vectors become the first axis. */
  private void reflect(double[] matrix) {
    for (int block = 0; block < width; block += experts) {
      for (int column = 0; column < width; column++) {
        double sum = 0;
        for (int i = 0; i < experts; i++) {
          sum += mirror[i] * matrix[(block + i) * width + column];
        }

        for (int i = 0; i < experts; i++) {
          matrix[(block + i) * width + column] -= 2 * sum * mirror[i];
        }
      }
    }

    for (int row = 0; row < width; row++) {
      for (int block = 0; block < width; block += experts) {
        int at = row * width + block;
        double sum = 0;
        for (int i = 0; i < experts; i++) {
          sum += mirror[i] * matrix[at + i];
        }

        for (int i = 0; i < experts; i++) {
          matrix[at + i] -= 2 * sum * mirror[i];
        }
      }
    }
  }

  /** The matrices that hold a layer: pairs of a matrix and the layer's first row in it. */
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

  private double updateSet(int layer) {
    double moved = 0;
    int[][] holders = holders(layer);
    double[] set = sets[layer];
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < i; j++) {
        double sum = inside[layer][i * experts + j] / (2 * rho);
        for (int[] holder : holders) {
          int at = (holder[1] + i) * width + holder[1] + j;
          sum += projected[holder[0]][at] + multipliers[holder[0]][at];
        }

        double next = Math.min(1, Math.max(0, sum / holders.length));
        double change = next - set[i * experts + j];
        moved += 2 * holders.length * change * change;
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

  /** The bound that the multipliers prove now. */
  private double evaluate(Workers workers) {
    List<Callable<Double>> tasks = new ArrayList<>();
    for (int i = 0; i < multipliers.length; i++) {
      int at = i;
      tasks.add(() -> -ofHull(at));
    }

    for (int i = 0; i < steps.length; i++) {
      int gap = i;
      tasks.add(() -> ofStep(gap));
    }

    for (int i = 0; i < layers; i++) {
      int layer = i;
      tasks.add(() -> ofSet(layer));
    }

    double stays = 0;
    for (double part : workers.all(tasks)) {
      stays += part;
    }

    return stays * unit;
  }

  /** The least that a matrix of the Fantope costs at its multipliers. */
  private double ofHull(int matrix) {
    double sum = 0;
    double largest = 0;
    for (double multiplier : multipliers[matrix]) {
      sum += multiplier;
      largest = Math.max(largest, Math.abs(multiplier));
    }

    int inner = blocks * (experts - 1);
    SymmetricEigen eigen = new SymmetricEigen(inner);
    eigen.decompose(reduced(multipliers[matrix]), false);
    double[] values = new double[inner];
    Arrays.setAll(values, eigen::value);
    Arrays.sort(values);
    double least = 0;
    for (int i = 0; i < groups - 1; i++) {
      least += values[i];
    }

    double rounding = ROUNDING * largest * width * size * groups;
    return rho * (sum / groups + blocks * size * least - rounding);
  }

  /** The most that the entries between two layers gain. */
  private double ofStep(int gap) {
    double[] gains = new double[experts * experts];
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < experts; j++) {
        gains[i * experts + j] =
            pairs[gap][i * experts + j] + 2 * rho * multipliers[gap][i * width + experts + j];
      }
    }

    return heaviest(gains, size);
  }

  /** The most that the entries of a layer gain, its diagonal included. */
  private double ofSet(int layer) {
    double[] gains = new double[experts * experts];
    double diagonal = 0;
    for (int[] holder : holders(layer)) {
      for (int i = 0; i < experts; i++) {
        int row = (holder[1] + i) * width + holder[1];
        diagonal += rho * multipliers[holder[0]][row + i];
        for (int j = 0; j < experts; j++) {
          gains[i * experts + j] += i == j ? 0 : rho * multipliers[holder[0]][row + j];
        }
      }
    }

    double least = 0;
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < experts; j++) {
        gains[i * experts + j] += i == j ? 0 : inside[layer][i * experts + j] / 2;
        least = Math.min(least, gains[i * experts + j]);
      }
    }

    for (int i = 0; i < experts; i++) {
      gains[i * experts + i] = least; // an expert is not its own neighbour
    }

    return diagonal + heaviest(gains, size - 1);
  }

  /** The largest sum of entries with exactly {@code degree} in each row and column, rounded up. */
  private double heaviest(double[] gains, int degree) {
    if (degree == 0) {
      return 0;
    }

    double least = Arrays.stream(gains).min().orElse(0);
    double most = Arrays.stream(gains).max().orElse(0);
    double scale = UNITS / Math.max(1e-12, most - least);
    long[] weights = new long[gains.length];
    for (int i = 0; i < gains.length; i++) {
      weights[i] = (long) Math.ceil((gains[i] - least) * scale);
    }

    long heaviest = GapBound.heaviestSubgraph(weights, experts, experts, degree, degree);
    return heaviest / scale + least * degree * experts;
  }
}
