package io.expertatlas.runtime;

import java.util.List;

/**
 * The weights of the experts of one layer that live on one rank, stacked: {@code n} local experts,
 * hidden size {@code H}, inner size {@code F}. Matrices are {@code [out, in]}, as checkpoints hold
 * them.
 */
public sealed interface ExpertWeights {
  /** Number of local experts. */
  int experts();

  /** Inner size F. */
  long inner();

  /** The stacks, in the order of the components. */
  List<Tensor> stacks();

  /**
   * {@code down(silu(gate(x)) * up(x))}, without biases: Mixtral.
   *
   * @param gate {@code [n, F, H]}, called w1 in checkpoints
   * @param up {@code [n, F, H]}, w3
   * @param down {@code [n, H, F]}, w2
   */
  record Swiglu(Tensor gate, Tensor up, Tensor down) implements ExpertWeights {
    @Override
    public int experts() {
      return (int) gate.size(0);
    }

    @Override
    public long inner() {
      return gate.size(1);
    }

    @Override
    public List<Tensor> stacks() {
      return List.of(gate, up, down);
    }
  }

  /**
   * {@code down(relu(up(x) + upBias)) + downBias}: NLLB-MoE. The second bias is inside the
   * weighting by the router.
   *
   * @param up {@code [n, F, H]}, fc1
   * @param upBias {@code [n, F]}
   * @param down {@code [n, H, F]}, fc2
   * @param downBias {@code [n, H]}
   */
  record Relu(Tensor up, Tensor upBias, Tensor down, Tensor downBias) implements ExpertWeights {
    @Override
    public int experts() {
      return (int) up.size(0);
    }

    @Override
    public long inner() {
      return up.size(1);
    }

    @Override
    public List<Tensor> stacks() {
      return List.of(up, upBias, down, downBias);
    }
  }
}
