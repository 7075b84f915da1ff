package io.expertatlas.placement.search;

import java.util.Arrays;

/**
 * The matrices of one or two layers of experts dealt to equal groups, less {@code J / groups}, as
 * {@link GramBound} relaxes them: they vanish on vectors that are constant in each layer, and their
 * eigenvalues are from 0 to {@code blocks * size} with a fixed sum (the hull of projections of rank
 * {@code groups - 1}: a Fantope). Matrices are {@code [row * width + column]}, {@code width =
 * blocks * experts}. Immutable, safe for threads.
 */
final class Fantope {
  private final int experts;
  private final int groups;
  private final int blocks; // layers of a matrix
  private final int width;
  private final int inner; // rows once constant vectors are left out
  private final double most; // eigenvalue
  private final double[] mirror; // [i], the reflection that makes constant vectors the first axis

  /**
   * The Fantope.
   *
   * @param experts of each layer, {@code groups} times a whole number
   * @param blocks layers of a matrix, 1 or 2
   */
  Fantope(int experts, int groups, int blocks) {
    this.experts = experts;
    this.groups = groups;
    this.blocks = blocks;
    this.width = blocks * experts;
    this.inner = blocks * (experts - 1);
    this.most = (double) blocks * (experts / groups);
    this.mirror = new double[experts];
    double root = Math.sqrt(experts);
    double norm = Math.sqrt(2 * (1 + 1 / root));
    Arrays.fill(mirror, 1 / root / norm);
    mirror[0] = (1 / root + 1) / norm;
  }

  /** Rows of a matrix. */
  int width() {
    return width;
  }

  /** Replaces a symmetric matrix by the nearest one of the Fantope. */
  void project(double[] full) {
    double[] reduced = reduced(full);
    SymmetricEigen eigen = new SymmetricEigen(inner);
    eigen.decompose(reduced, true);
    double[] kept = kept(eigen);
    double[] hull = new double[inner * inner];
    for (int i = 0; i < inner; i++) {
      if (kept[i] > 0) {
        eigen.addSquare(i, kept[i], hull);
      }
    }

    lift(hull, full);
  }

  /** The least sum of products with a symmetric matrix: of its smallest eigenvalues (Fan 1949). */
  double leastProduct(double[] full) {
    SymmetricEigen eigen = new SymmetricEigen(inner);
    eigen.decompose(reduced(full), false);
    double[] values = new double[inner];
    Arrays.setAll(values, eigen::value);
    Arrays.sort(values);
    double least = 0;
    for (int i = 0; i < groups - 1; i++) {
      least += values[i];
    }

    return most * least;
  }

  /** Eigenvalues moved by one amount and cut to 0 and the most, so that they sum to the trace. */
  private double[] kept(SymmetricEigen eigen) {
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
}
