package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import java.util.List;
import java.util.Optional;

/**
 * A layer of the generalized model: {@code h = norm(x + attention(x))}, {@code y = norm(h +
 * experts(h))}; biases in attention and experts.
 *
 * @param query weight {@code [H, H]} and bias {@code [H]}; key, value and output likewise
 * @param attentionNorm gain and bias {@code [H]}; that of the experts likewise
 */
record PostNormLayer(
    List<Parameter> query,
    List<Parameter> key,
    List<Parameter> value,
    List<Parameter> output,
    List<Parameter> attentionNorm,
    List<Parameter> expertNorm,
    MoeBlock moe,
    Heads heads,
    double epsilon)
    implements Layer {
  /** Of attention. */
  private record Values(Matrix q, Matrix k, Matrix v, Matrix seen, Matrix attended, Matrix given)
      implements Attended {}

  private record Kept(
      Matrix x, Optional<Values> values, MoeBlock.Tape moe, Matrix added, Matrix output)
      implements Tape {
    @Override
    public long bytes() {
      Values of = values.orElseThrow();
      return List.of(of.q, of.k, of.v, of.seen, of.attended, of.given, added, output).stream()
              .mapToLong(Matrix::bytes)
              .sum()
          + moe.bytes();
    }

    @Override
    public Tape reduced() {
      return new Kept(x, Optional.empty(), moe.reduced(), added, output);
    }

    @Override
    public List<Matrix> held() {
      return List.of(added);
    }
  }

  @Override
  public long tapeBytes(int tokens, boolean isReduced) {
    return 8L * tokens * attentionNorm.get(0).columns() * Double.BYTES
        + moe.tapeBytes(tokens, isReduced);
  }

  @Override
  public int heldMatrices() {
    return 2;
  }

  @Override
  public Block attention() {
    return new Block(
        "layer %d attention".formatted(moe.layer()),
        List.of(query, key, value, output, attentionNorm, expertNorm).stream()
            .flatMap(List::stream)
            .toList());
  }

  @Override
  public Block gate() {
    return new Block("layer %d gate".formatted(moe.layer()), List.of(moe.router()));
  }

  @Override
  public List<Block> experts() {
    return moe.experts();
  }

  @Override
  public ExpertMath math() {
    return moe.math();
  }

  @Override
  public Values attend(Matrix x, int length, Copies copies) {
    Matrix q = linear(x, query, copies);
    Matrix k = linear(x, key, copies);
    Matrix v = linear(x, value, copies);
    Matrix seen = q.attend(heads, k, v, length);
    Matrix attended = seen.linear(copies.value(output.get(0)), copies.value(output.get(1)), x);
    return new Values(q, k, v, seen, attended, norm(attended, attentionNorm, copies));
  }

  @Override
  public Tape forward(Matrix x, int length, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Values values = attend(x, length, copies);
    MoeBlock.Result experts = moe.forward(values.given, copies, runner);
    Matrix added = experts.output().add(values.given);
    return new Kept(x, Optional.of(values), experts.tape(), added, norm(added, expertNorm, copies));
  }

  private static Matrix linear(Matrix x, List<Parameter> layer, Copies copies) {
    return x.linear(copies.value(layer.get(0)), copies.value(layer.get(1)));
  }

  private Matrix norm(Matrix x, List<Parameter> norm, Copies copies) {
    return x.layerNorm(copies.value(norm.get(0)), copies.value(norm.get(1)), epsilon);
  }

  @Override
  public Matrix backward(Tape tape, int length, Matrix gradient, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Kept kept = (Kept) tape;
    Matrix added = normBackward(kept.added, expertNorm, gradient, copies);
    MoeBlock.Backward experts = moe.backward(kept.moe, added, copies, runner);
    Values of = kept.values.orElseGet(() -> attend(kept.x, length, copies));
    Matrix middle = experts.finish(of.given).add(added);
    Matrix attended = normBackward(of.attended, attentionNorm, middle, copies);
    addGradients(of.seen, List.of(output), List.of(attended), copies);
    Matrix seen = attended.times(copies.value(output.get(0)));
    Matrix.AttentionGradients back = of.q.attendBackward(heads, of.k, of.v, length, seen);
    addGradients(
        kept.x,
        List.of(query, key, value),
        List.of(back.queries(), back.keys(), back.values()),
        copies);
    return attended
        .addTimes(back.queries(), copies.value(query.get(0)))
        .addTimes(back.keys(), copies.value(key.get(0)))
        .addTimes(back.values(), copies.value(value.get(0)));
  }

  private Matrix normBackward(Matrix x, List<Parameter> norm, Matrix gradient, Copies copies) {
    return x.layerNormBackward(
        copies.value(norm.get(0)),
        epsilon,
        gradient,
        copies.gradient(norm.get(0)),
        copies.gradient(norm.get(1)));
  }

  /** Adds the gradients of linear layers that were all given x. */
  private static void addGradients(
      Matrix x, List<List<Parameter>> layers, List<Matrix> gradients, Copies copies) {
    copies.addOuters(layers.stream().map(layer -> layer.get(0)).toList(), gradients, x);
    for (int i = 0; i < layers.size(); i++) {
      copies.gradient(layers.get(i).get(1)).addRowsOf(gradients.get(i));
    }
  }
}
