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
    Tape inner(Matrix x, List<Parameter> p, Copies copies) {
      return new Tape(
          x, List.of(x.linear(copies.value(p.get(0))), x.linear(copies.value(p.get(2)))));
    }

    @Override
    Matrix output(Tape tape, List<Parameter> p, Copies copies) {
      return tape.inner.get(0).swiglu(tape.inner.get(1)).linear(copies.value(p.get(1)));
    }

    @Override
    Gradients backward(Tape tape, Matrix gradient, List<Parameter> p, Copies copies) {
      Matrix gate = tape.inner.get(0);
      Matrix up = tape.inner.get(1);
      Matrix both = gate.swiglu(up);
      copies.addOuter(p.get(1), gradient, both);
      Matrix down = gradient.times(copies.value(p.get(1)));
      Matrix along = down.rowProducts(both);
      Matrix.SwigluGradients back = gate.swigluBackward(up, down);
      copies.addOuters(List.of(p.get(0), p.get(2)), List.of(back.gate(), back.up()), tape.x);
      Matrix input =
          back.gate().times(copies.value(p.get(0))).addTimes(back.up(), copies.value(p.get(2)));
      return new Gradients(input, along);
    }
  },

  /** {@code relu(x w1' + b1) w2' + b2}; parameters w1 [F, H], b1 [F], w2 [H, F], b2 [H]. */
  RELU {
    @Override
    int innerMatrices() {
      return 1;
    }

    @Override
    Tape inner(Matrix x, List<Parameter> p, Copies copies) {
      return new Tape(x, List.of(x.linearRelu(copies.value(p.get(0)), copies.value(p.get(1)))));
    }

    @Override
    Matrix output(Tape tape, List<Parameter> p, Copies copies) {
      return tape.inner.get(0).linear(copies.value(p.get(2)), copies.value(p.get(3)));
    }

    @Override
    Gradients backward(Tape tape, Matrix gradient, List<Parameter> p, Copies copies) {
      Matrix inner = tape.inner.get(0);
      copies.addOuter(p.get(2), gradient, inner);
      copies.gradient(p.get(3)).addRowsOf(gradient);
      Matrix down = gradient.times(copies.value(p.get(2)));
      Matrix along =
          down.linearReluBackward(inner, copies.gradient(p.get(1)))
              .addRowProducts(gradient, copies.value(p.get(3)));
      copies.addOuter(p.get(0), down, tape.x);
      return new Gradients(down.times(copies.value(p.get(0))), along);
    }
  };

  /**
   * What backward needs of forward.
   *
   * @param x {@code [row, H]}
   * @param inner matrices of {@code [row, F]}
   */
  record Tape(Matrix x, List<Matrix> inner) {
    /** The same where an expert is to be computed. */
    Tape on(MatrixDevice device) {
      return new Tape(device.take(x), inner.stream().map(device::take).toList());
    }

    long bytes() {
      return x.bytes() + inner.stream().mapToLong(Matrix::bytes).sum();
    }
  }

  /**
   * What backward gives back.
   *
   * @param input gradient of x, {@code [row, H]}
   * @param along products of the rows of output and its gradient, {@code [row, 1]}: those of the
   *     output's factors, as the output itself is not there
   */
  record Gradients(Matrix input, Matrix along) {}

  /** Number of matrices {@code [row, F]} on a tape. */
  abstract int innerMatrices();

  /** The first half of forward: what backward needs of it. */
  abstract Tape inner(Matrix x, List<Parameter> parameters, Copies copies);

  /** The second half of forward: what the expert makes, {@code [row, H]}. */
  abstract Matrix output(Tape tape, List<Parameter> parameters, Copies copies);

  /** Adds the parameters' gradients. */
  abstract Gradients backward(
      Tape tape, Matrix gradient, List<Parameter> parameters, Copies copies);
}
