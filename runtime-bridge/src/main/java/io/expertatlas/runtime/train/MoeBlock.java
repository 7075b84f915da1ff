package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The router of a layer and its experts: each token's weighted sum of what its top-k experts make
 * of it.
 *
 * @param layer of the model
 * @param router {@code [E, H]}
 * @param experts a block each
 * @param math what an expert computes
 * @param topK experts of a token
 * @param renormalizes whether the weights of a token sum to 1
 */
record MoeBlock(
    int layer,
    Parameter router,
    List<Block> experts,
    ExpertMath math,
    int topK,
    boolean renormalizes) {
  /**
   * What backward needs of forward; experts without tokens have none.
   *
   * @param beside of each expert whether the CPU beside the layer's device computed it
   */
  record Tape(
      Matrix x, Routing routing, ExpertMath.Tape[] experts, Matrix[] outputs, boolean[] beside) {
    /** What stays when the layer's scope closes. */
    Kept kept() {
      ExpertMath.Tape[] kept = new ExpertMath.Tape[experts.length];
      Arrays.setAll(kept, expert -> beside[expert] ? experts[expert] : null);
      return new Kept(routing, kept);
    }

    long bytes() {
      long bytes = routing.bytes();
      for (ExpertMath.Tape expert : experts) {
        bytes += expert == null ? 0 : expert.bytes();
      }

      return bytes;
    }
  }

  /**
   * What the host keeps of a forward pass for another one of the same input.
   *
   * @param experts {@code [expert]} tapes of those that the CPU computed, of others null
   */
  record Kept(Routing routing, ExpertMath.Tape[] experts) {}

  /** Bytes of the tape of so many tokens, without x: all their choices run through some expert. */
  long tapeBytes(int tokens) {
    long rows = (long) tokens * topK;
    long inner = experts.get(0).parameters().get(0).rows();
    return Routing.bytes(tokens, experts.size(), topK, renormalizes)
        + rows * (2L * router.columns() + math.innerMatrices() * inner) * Double.BYTES;
  }

  /** The tape of a forward pass, and its output. */
  record Result(Tape tape, Matrix output) {}

  /**
   * Computes the experts.
   *
   * @param kept of a first forward pass of the same input: tokens go where they went, and experts
   *     that the CPU computed are not computed again
   */
  Result forward(Matrix x, Optional<Kept> kept, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Routing routing =
        kept.isPresent()
            ? kept.get().routing
            : Routing.of(x.linear(copies.value(router)), topK, renormalizes);
    ExpertMath.Tape[] tapes =
        kept.isPresent() ? kept.get().experts.clone() : new ExpertMath.Tape[experts.size()];
    Matrix[] outputs = new Matrix[experts.size()];
    int[] counts = routing.counts();
    for (int expert = 0; expert < counts.length; expert++) {
      if (tapes[expert] != null) {
        outputs[expert] = x.device().take(tapes[expert].output());
        counts[expert] = 0;
      }
    }

    boolean[] beside =
        runner.run(
            layer,
            counts,
            ExpertRunner.Pass.FORWARD,
            new ExpertRunner.Work() {
              @Override
              public Matrix input(int expert) {
                return x.gather(routing.tokens(expert));
              }

              @Override
              public Matrix compute(int expert, Matrix input, Copies own) {
                tapes[expert] = math.forward(input, experts.get(expert).parameters(), own);
                return tapes[expert].output();
              }

              @Override
              public void output(int expert, Matrix made) {
                outputs[expert] = made;
              }
            });
    Matrix sum = routing.combine(outputs, x.columns(), x.device());
    return new Result(new Tape(x, routing, tapes, outputs, beside), sum);
  }

  /** Adds the parameters' gradients and returns that of x. */
  Matrix backward(Tape tape, Matrix gradient, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Routing routing = tape.routing;
    Matrix[] inputs = new Matrix[experts.size()];
    runner.run(
        layer,
        routing.counts(),
        ExpertRunner.Pass.BACKWARD,
        new ExpertRunner.Work() {
          @Override
          public Matrix input(int expert) {
            return routing.outputGradient(expert, gradient);
          }

          @Override
          public Matrix compute(int expert, Matrix input, Copies own) {
            return math.backward(
                tape.experts[expert].on(own.device()),
                input,
                experts.get(expert).parameters(),
                own);
          }

          @Override
          public void output(int expert, Matrix made) {
            inputs[expert] = made;
          }
        });
    Matrix logits = routing.logitsGradient(tape.outputs, gradient);
    copies.gradient(router).addOuter(logits, tape.x);
    return routing
        .sum(inputs, gradient.columns(), gradient.device())
        .add(logits.times(copies.value(router)));
  }
}
