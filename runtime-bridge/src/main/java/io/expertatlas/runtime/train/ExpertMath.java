package io.expertatlas.runtime.train;

import java.util.List;

/** What an expert computes, of the rows that are its own. Stateless. */
enum ExpertMath {
  /** {@code (silu(x w1') * (x w3')) w2'}; parameters w1 [F, H], w2 [H, F], w3 [F, H]. */
  SWIGLU {
    @Override
    int innerMatrices() {
      return 2;
    }

    @Override
    Tape forward(Matrix x, List<Parameter> p, Copies copies) {
      Matrix gate = x.linear(copies.value(p.get(0)));
      Matrix up = x.linear(copies.value(p.get(2)));
      Matrix inner = swiglu(gate, up);
      return new Tape(x, List.of(gate, up), inner.linear(copies.value(p.get(1))));
    }

    @Override
    Matrix backward(Tape tape, Matrix gradient, List<Parameter> p, Copies copies) {
      Matrix gate = tape.inner.get(0);
      Matrix up = tape.inner.get(1);
      copies.gradient(p.get(1)).addOuter(gradient, swiglu(gate, up));
      Matrix down = gradient.times(copies.value(p.get(1)));
      Matrix upGradient = new Matrix(up.rows, up.columns);
      for (int i = 0; i < down.values.length; i++) {
        double sigmoid = sigmoid(gate.values[i]);
        double silu = gate.values[i] * sigmoid;
        upGradient.values[i] = down.values[i] * silu;
        down.values[i] *= up.values[i] * (sigmoid + silu * (1 - sigmoid));
      }

      copies.gradient(p.get(0)).addOuter(down, tape.x);
      copies.gradient(p.get(2)).addOuter(upGradient, tape.x);
      return down.times(copies.value(p.get(0))).add(upGradient.times(copies.value(p.get(2))));
    }
  },

  /** {@code relu(x w1' + b1) w2' + b2}; parameters w1 [F, H], b1 [F], w2 [H, F], b2 [H]. */
  RELU {
    @Override
    int innerMatrices() {
      return 1;
    }

    @Override
    Tape forward(Matrix x, List<Parameter> p, Copies copies) {
      Matrix inner = x.linear(copies.value(p.get(0))).addRow(copies.value(p.get(1)));
      for (int i = 0; i < inner.values.length; i++) {
        inner.values[i] = Math.max(0, inner.values[i]);
      }

      Matrix out = inner.linear(copies.value(p.get(2))).addRow(copies.value(p.get(3)));
      return new Tape(x, List.of(inner), out);
    }

    @Override
    Matrix backward(Tape tape, Matrix gradient, List<Parameter> p, Copies copies) {
      Matrix inner = tape.inner.get(0);
      copies.gradient(p.get(2)).addOuter(gradient, inner);
      copies.gradient(p.get(3)).addRowsOf(gradient);
      Matrix down = gradient.times(copies.value(p.get(2)));
      for (int i = 0; i < down.values.length; i++) {
        down.values[i] = inner.values[i] > 0 ? down.values[i] : 0;
      }

      copies.gradient(p.get(0)).addOuter(down, tape.x);
      copies.gradient(p.get(1)).addRowsOf(down);
      return down.times(copies.value(p.get(0)));
    }
  };

  /**
   * What backward needs of forward.
   *
   * @param x {@code [row, H]}
   * @param inner matrices of {@code [row, F]}
   * @param output {@code [row, H]}
   */
  record Tape(Matrix x, List<Matrix> inner, Matrix output) {
    long bytes() {
      return x.bytes() + output.bytes() + inner.stream().mapToLong(Matrix::bytes).sum();
    }
  }

  /** Number of matrices {@code [row, F]} on a tape. */
  abstract int innerMatrices();

  abstract Tape forward(Matrix x, List<Parameter> parameters, Copies copies);

  /** Adds the parameters' gradients and returns that of x. */
  abstract Matrix backward(Tape tape, Matrix gradient, List<Parameter> parameters, Copies copies);

  private static Matrix swiglu(Matrix gate, Matrix up) {
    Matrix out = new Matrix(gate.rows, gate.columns);
    for (int i = 0; i < out.values.length; i++) {
      out.values[i] = gate.values[i] * sigmoid(gate.values[i]) * up.values[i];
    }

    return out;
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }
}
