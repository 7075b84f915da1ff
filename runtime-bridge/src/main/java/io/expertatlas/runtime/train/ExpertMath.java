package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
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
      Matrix out = gate.swiglu(up).linear(copies.value(p.get(1)));
      return new Tape(x, List.of(gate, up), out);
    }

    @Override
    Matrix backward(Tape tape, Matrix gradient, List<Parameter> p, Copies copies) {
      Matrix gate = tape.inner.get(0);
      Matrix up = tape.inner.get(1);
      copies.addOuter(p.get(1), gradient, gate.swiglu(up));
      Matrix.SwigluGradients back = gate.swigluBackward(up, gradient.times(copies.value(p.get(1))));
      copies.addOuter(p.get(0), back.gate(), tape.x);
      copies.addOuter(p.get(2), back.up(), tape.x);
      return back.gate().times(copies.value(p.get(0))).add(back.up().times(copies.value(p.get(2))));
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
      Matrix inner = x.linear(copies.value(p.get(0))).addRowRelu(copies.value(p.get(1)));
      Matrix out = inner.linear(copies.value(p.get(2))).addRow(copies.value(p.get(3)));
      return new Tape(x, List.of(inner), out);
    }

    @Override
    Matrix backward(Tape tape, Matrix gradient, List<Parameter> p, Copies copies) {
      Matrix inner = tape.inner.get(0);
      copies.addOuter(p.get(2), gradient, inner);
      copies.gradient(p.get(3)).addRowsOf(gradient);
      Matrix down = gradient.times(copies.value(p.get(2))).reluBackward(inner);
      copies.addOuter(p.get(0), down, tape.x);
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
    /** The same where an expert is to be computed. */
    Tape on(MatrixDevice device) {
      return new Tape(
          device.take(x), inner.stream().map(device::take).toList(), device.take(output));
    }

    long bytes() {
      return x.bytes() + output.bytes() + inner.stream().mapToLong(Matrix::bytes).sum();
    }
  }

  /** Number of matrices {@code [row, F]} on a tape. */
  abstract int innerMatrices();

  abstract Tape forward(Matrix x, List<Parameter> parameters, Copies copies);

  /** Adds the parameters' gradients and returns that of x. */
  abstract Matrix backward(Tape tape, Matrix gradient, List<Parameter> parameters, Copies copies);
}
