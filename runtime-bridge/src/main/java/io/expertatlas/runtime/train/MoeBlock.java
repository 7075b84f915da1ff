package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.Arrays;
import java.util.List;

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
   * What backward needs of forward beside x.
   *
   * @param experts of each what it computed with; null if it had no tokens, or is to be computed
   *     again
   * @param beside of each whether the CPU beside the layer's device computed it
   */
  record Tape(Routing routing, ExpertMath.Tape[] experts, boolean[] beside) {
    /** What stays when the layer's scope closes: the host's. */
    Tape reduced() {
      ExpertMath.Tape[] kept = new ExpertMath.Tape[experts.length];
      Arrays.setAll(kept, expert -> beside[expert] ? experts[expert] : null);
      return new Tape(routing, kept, beside);
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
   * Bytes of the tape of so many tokens: all their choices run through some expert.
   *
   * @param isReduced whether experts' inner matrices are there one expert after the other, a row
   *     for each token at most
   */
  long tapeBytes(int tokens, boolean isReduced) {
    long rows = (long) tokens * topK;
    long inner = math.innerMatrices() * (long) experts.get(0).parameters().get(0).rows();
    return Routing.bytes(tokens, experts.size(), topK, renormalizes)
        + (rows * router.columns() + (isReduced ? tokens : rows) * inner) * Double.BYTES;
  }

  /** The tape of a forward pass, and its output. */
  record Result(Tape tape, Matrix output) {}

  /** Computes the experts. */
  Result forward(Matrix x, Copies copies, ExpertRunner runner) throws InterruptedException {
    Routing routing = Routing.of(x.linear(copies.value(router)), topK, renormalizes);
    return new Forward(x, routing).finish(copies, runner);
  }

  /** Forward, once the tokens are routed. */
  private final class Forward implements ExpertRunner.Work {
    private final Matrix x;
    private final Routing routing;
    private final ExpertMath.Tape[] tapes = new ExpertMath.Tape[experts.size()];
    private final Routing.Rows outputs;
    private ExpertTokens tokens;

    Forward(Matrix x, Routing routing) {
      this.x = x;
      this.routing = routing;
      this.outputs = routing.rows();
    }

    Result finish(Copies copies, ExpertRunner runner) throws InterruptedException {
      ExpertRunner.Running running =
          runner.start(layer, routing.counts(), ExpertRunner.Pass.FORWARD, this);
      tokens = routing.tokens(copies.device()); // the CPU has begun
      routing.beginWeighing();
      boolean[] beside = running.finish();
      Matrix sum = routing.combine(outputs, x.columns(), x.device());
      return new Result(new Tape(routing, tapes, beside), sum);
    }

    @Override
    public List<Matrix> inputs(List<Integer> given) {
      return List.of(x.gather(routing.tokens(given)));
    }

    @Override
    public List<Matrix> inputsHere(int expert) {
      return List.of(tokens.rows(expert, x));
    }

    @Override
    public List<Matrix> compute(int expert, List<Matrix> inputs, Copies own) {
      List<Parameter> parameters = experts.get(expert).parameters();
      tapes[expert] = math.inner(inputs.get(0), parameters, own);
      return List.of(math.output(tapes[expert], parameters, own));
    }

    @Override
    public void outputs(List<Integer> given, List<Matrix> made) {
      outputs.put(given, made.get(0));
    }
  }

  /** Begins to add the parameters' gradients: what a tape is there for can be computed. */
  Backward backward(Tape tape, Matrix gradient, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    return new Backward(tape, gradient, copies, runner);
  }

  /** Backward, once x is there. */
  final class Backward implements ExpertRunner.Work {
    private final Tape tape;
    private final Matrix gradient;
    private final Copies copies;
    private final ExpertRunner runner;
    private final ExpertRunner.Running taped;
    private final Routing.Rows made; // gradients of inputs
    private final Routing.Rows along;
    private Matrix x;
    private ExpertTokens tokens;

    private Backward(Tape tape, Matrix gradient, Copies copies, ExpertRunner runner)
        throws InterruptedException {
      this.tape = tape;
      this.gradient = gradient;
      this.copies = copies;
      this.runner = runner;
      this.made = tape.routing.rows();
      this.along = tape.routing.rows();
      this.taped = start(true);
    }

    private ExpertRunner.Running start(boolean isTaped) throws InterruptedException {
      int[] counts = tape.routing.counts();
      for (int expert = 0; expert < counts.length; expert++) {
        if ((tape.experts[expert] != null) != isTaped) {
          counts[expert] = 0;
        }
      }

      return runner.start(layer, counts, ExpertRunner.Pass.BACKWARD, this);
    }

    /**
     * Computes the rest.
     *
     * @param given x, what forward was given
     * @return its gradient
     */
    Matrix finish(Matrix given) throws InterruptedException {
      x = given;
      tokens = tape.routing.weightedTokens(copies.device());
      start(false).finish();
      taped.finish();
      Matrix logits = tape.routing.logitsGradient(along, x.device());
      copies.addOuter(router, logits, x);
      return tape.routing.sum(made, x.columns(), x.device()).addTimes(logits, copies.value(router));
    }

    @Override
    public List<Matrix> inputs(List<Integer> given) {
      Matrix rows = tape.routing.outputGradient(given, gradient);
      return tape.experts[given.get(0)] == null // as all that start together
          ? List.of(rows, x.gather(tape.routing.tokens(given)))
          : List.of(rows);
    }

    @Override
    public List<Matrix> inputsHere(int expert) {
      boolean isAgain = tape.experts[expert] == null; // else its rows are there
      Matrix rows = tokens.weighted(expert, gradient, isAgain);
      return isAgain ? List.of(rows, tokens.rows(expert, x)) : List.of(rows);
    }

    @Override
    public List<Matrix> compute(int expert, List<Matrix> inputs, Copies own) {
      List<Parameter> parameters = experts.get(expert).parameters();
      ExpertMath.Tape kept =
          inputs.size() == 1
              ? tape.experts[expert].on(own.device())
              : math.inner(inputs.get(1), parameters, own);
      ExpertMath.Gradients back = math.backward(kept, inputs.get(0), parameters, own);
      return List.of(back.input(), back.along());
    }

    /** With a scope of its own: what one expert computes again is given up before the next one. */
    @Override
    public void run(int expert, Copies own) {
      try (MatrixDevice.Scope scope = own.device().scope()) {
        List<Matrix> both = compute(expert, inputsHere(expert), own);
        both.forEach(scope::keep);
        outputs(List.of(expert), both);
      }
    }

    @Override
    public void outputs(List<Integer> given, List<Matrix> both) {
      made.put(given, both.get(0));
      along.put(given, both.get(1));
    }
  }
}
