package io.expertatlas.placement.search;

/**
 * Eigenvalues and eigenvectors of symmetric matrices of one size: reflections to three diagonals
 * (Householder 1958), then shifted QL steps on these (Martin, Wilkinson 1968), O(n^3). Keeps its
 * work arrays; not safe for several threads.
 */
final class SymmetricEigen {
  private static final int MOST_STEPS = 60; // for one eigenvalue; a few are usual
  private static final double TINY = 1e-300;

  private final int n;
  private final double[] matrix; // [row * n + column], destroyed by the reflections
  private final double[] vectors; // [i * n + row], eigenvector i
  private final double[] values; // [i]
  private final double[] beside; // [i], between rows i and i + 1
  private final double[] reflection; // [row]
  private final double[] image; // [row]
  private final double[] reflections; // [step * n + row]
  private final double[] scales; // [step]

  SymmetricEigen(int n) {
    this.n = n;
    this.matrix = new double[n * n];
    this.vectors = new double[n * n];
    this.values = new double[n];
    this.beside = new double[n];
    this.reflection = new double[n];
    this.image = new double[n];
    this.reflections = new double[n * n];
    this.scales = new double[n];
  }

  /**
   * Decomposes a matrix, {@code [row * n + column]}, which stays as it is.
   *
   * @throws ArithmeticException if it holds a number that is not finite
   */
  void decompose(double[] symmetric, boolean withVectors) {
    for (int i = 0; i < n * n; i++) {
      if (!Double.isFinite(symmetric[i])) {
        throw new ArithmeticException("Invalid matrix: it holds " + symmetric[i]);
      }
    }

    System.arraycopy(symmetric, 0, matrix, 0, n * n);
    for (int step = 0; step < n - 2; step++) {
      reflect(step);
    }

    for (int i = 0; i < n; i++) {
      values[i] = matrix[i * n + i];
      beside[i] = i + 1 < n ? matrix[i * n + i + 1] : 0;
    }

    if (withVectors) {
      startVectors();
    }

    for (int i = 0; i < n; i++) {
      isolate(i, withVectors);
    }
  }

  /** Clears a row and column right of the second diagonal. */
  private void reflect(int step) {
    double norm = 0;
    for (int j = step + 1; j < n; j++) {
      reflection[j] = matrix[step * n + j];
      norm += reflection[j] * reflection[j];
    }

    norm = Math.sqrt(norm);
    double head = reflection[step + 1];
    double kept = head > 0 ? -norm : norm;
    reflection[step + 1] -= kept;
    double square = 2 * norm * (norm + Math.abs(head));
    double scale = square < TINY ? 0 : 2 / square;
    scales[step] = scale;
    System.arraycopy(reflection, step + 1, reflections, step * n + step + 1, n - step - 1);
    if (scale == 0) {
      return;
    }

    double inner = 0;
    for (int i = step + 1; i < n; i++) {
      double sum = 0;
      int row = i * n;
      for (int j = step + 1; j < n; j++) {
        sum += matrix[row + j] * reflection[j];
      }

      image[i] = scale * sum;
      inner += image[i] * reflection[i];
    }

    double half = scale * inner / 2;
    for (int i = step + 1; i < n; i++) {
      image[i] -= half * reflection[i];
    }

    for (int i = step + 1; i < n; i++) {
      int row = i * n;
      double one = reflection[i];
      double other = image[i];
      for (int j = step + 1; j < n; j++) {
        matrix[row + j] -= one * image[j] + other * reflection[j];
      }
    }

    matrix[step * n + step + 1] = kept;
  }

  /** The product of the reflections, by rows. */
  private void startVectors() {
    java.util.Arrays.fill(vectors, 0);
    for (int i = 0; i < n; i++) {
      vectors[i * n + i] = 1;
    }

    for (int step = n - 3; step >= 0; step--) {
      if (scales[step] != 0) {
        for (int i = step + 1; i < n; i++) {
          double sum = 0;
          for (int j = step + 1; j < n; j++) {
            sum += vectors[i * n + j] * reflections[step * n + j];
          }

          sum *= scales[step];
          for (int j = step + 1; j < n; j++) {
            vectors[i * n + j] -= sum * reflections[step * n + j];
          }
        }
      }
    }
  }

  /** Turns planes until row {@code i} stands alone. */
  private void isolate(int i, boolean withVectors) {
    for (int step = 0; step < MOST_STEPS; step++) {
      int end = i;
      while (end < n - 1
          && Math.abs(beside[end])
              > 1e-16 * (Math.abs(values[end]) + Math.abs(values[end + 1])) + TINY) {
        end++;
      }

      if (end == i) {
        return;
      }

      chase(i, end, withVectors);
    }

    throw new ArithmeticException("Cannot find an eigenvalue in %d steps".formatted(MOST_STEPS));
  }

  /** One QL step on rows {@code first} to {@code last}, shifted by an eigenvalue of its corner. */
  private void chase(int first, int last, boolean withVectors) {
    double slope = (values[first + 1] - values[first]) / (2 * beside[first]);
    double root = Math.hypot(slope, 1);
    double bulge =
        values[last] - values[first] + beside[first] / (slope + Math.copySign(root, slope));
    double sine = 1;
    double cosine = 1;
    double moved = 0;
    for (int i = last - 1; i >= first; i--) {
      double outer = sine * beside[i];
      double inner = cosine * beside[i];
      double length = Math.hypot(outer, bulge);
      beside[i + 1] = length;
      if (length == 0) {
        values[i + 1] -= moved;
        beside[last] = 0;
        return;
      }

      sine = outer / length;
      cosine = bulge / length;
      double below = values[i + 1] - moved;
      double turned = (values[i] - below) * sine + 2 * cosine * inner;
      moved = sine * turned;
      values[i + 1] = below + moved;
      bulge = cosine * turned - inner;
      if (withVectors) {
        turn(i, sine, cosine);
      }
    }

    values[first] -= moved;
    beside[first] = bulge;
    beside[last] = 0;
  }

  private void turn(int i, double sine, double cosine) {
    int one = i * n;
    int next = one + n;
    for (int k = 0; k < n; k++) {
      double kept = vectors[next + k];
      vectors[next + k] = sine * vectors[one + k] + cosine * kept;
      vectors[one + k] = cosine * vectors[one + k] - sine * kept;
    }
  }

  /** Eigenvalue {@code i} of the matrix decomposed last, in no order. */
  double value(int i) {
    return values[i];
  }

  /** Entry {@code row} of eigenvector {@code i}, which has length 1. */
  double vector(int i, int row) {
    return vectors[i * n + row];
  }

  /** Adds {@code factor} times eigenvector {@code i} times itself to a matrix. */
  void addSquare(int i, double factor, double[] to) {
    int at = i * n;
    for (int row = 0; row < n; row++) {
      double one = factor * vectors[at + row];
      int base = row * n;
      for (int column = 0; column < n; column++) {
        to[base + column] += one * vectors[at + column];
      }
    }
  }
}
