package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.Rotary;
import java.util.List;
import java.util.Optional;

/**
 * A layer of Mixtral: {@code h = x + attention(rms(x))}, {@code y = h + experts(rms(h))}; rotary
 * positions, no biases.
 *
 * @param attentionNorm {@code [H]}
 * @param query {@code [heads * D, H]}
 * @param key {@code [keyHeads * D, H]}
 * @param value {@code [keyHeads * D, H]}
 * @param output {@code [H, heads * D]}
 * @param expertNorm {@code [H]}
 */
record MixtralLayer(
    Parameter attentionNorm,
    Parameter query,
    Parameter key,
    Parameter value,
    Parameter output,
    Parameter expertNorm,
    MoeBlock moe,
    Heads heads,
    Rotary rotary,
    double epsilon)
    implements Layer {
  /** Of attention. */
  private record Values(
      Matrix normed, Matrix q, Matrix k, Matrix v, Matrix seen, Matrix middle, Matrix given)
      implements Attended {}

  private record Kept(Matrix x, Optional<Values> values, MoeBlock.Tape moe, Matrix output)
      implements Tape {
    @Override
    public long bytes() {
      Values of = values.orElseThrow();
      return List.of(of.normed, of.q, of.k, of.v, of.seen, of.middle, of.given, output).stream()
              .mapToLong(Matrix::bytes)
              .sum()
          + moe.bytes();
    }

    @Override
    public Tape reduced() {
      return new Kept(x, Optional.empty(), moe.reduced(), output);
    }

    @Override
    public List<Matrix> held() {
      return List.of();
    }
  }

  @Override
  public long tapeBytes(int tokens, boolean isReduced) {
    long hidden = attentionNorm.columns();
    return tokens * (4 * hidden + 2L * query.rows() + 2L * key.rows()) * Double.BYTES
        + moe.tapeBytes(tokens, isReduced);
  }

  @Override
  public int heldMatrices() {
    return 1;
  }

  @Override
  public Block attention() {
    return new Block(
        "layer %d attention".formatted(moe.layer()),
        List.of(attentionNorm, query, key, value, output, expertNorm));
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
    Matrix normed = x.rmsNorm(copies.value(attentionNorm), epsilon);
    Matrix q = normed.linear(copies.value(query));
    Matrix k = normed.linear(copies.value(key));
    Matrix v = normed.linear(copies.value(value));
    q.turn(rotary, length, false);
    k.turn(rotary, length, false);
    Matrix seen = q.attend(heads, k, v, length);
    Matrix middle = seen.linear(copies.value(output)).add(x);
    Matrix given = middle.rmsNorm(copies.value(expertNorm), epsilon);
    return new Values(normed, q, k, v, seen, middle, given);
  }

  @Override
  public Tape forward(Matrix x, int length, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Values values = attend(x, length, copies);
    MoeBlock.Result experts = moe.forward(values.given, copies, runner);
    return new Kept(x, Optional.of(values), experts.tape(), experts.output().add(values.middle));
  }

  @Override
  public Matrix backward(Tape tape, int length, Matrix gradient, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    Kept kept = (Kept) tape;
    MoeBlock.Backward experts = moe.backward(kept.moe, gradient, copies, runner);
    Values of = kept.values.orElseGet(() -> attend(kept.x, length, copies));
    Matrix middle =
        of.middle
            .rmsNormBackward(
                copies.value(expertNorm),
                epsilon,
                experts.finish(of.given),
                copies.gradient(expertNorm))
            .add(gradient);
    copies.addOuter(output, middle, of.seen);
    Matrix.AttentionGradients back =
        of.q.attendBackward(heads, of.k, of.v, length, middle.times(copies.value(output)));
    back.queries().turn(rotary, length, true);
    back.keys().turn(rotary, length, true);
    copies.addOuters(
        List.of(query, key, value), List.of(back.queries(), back.keys(), back.values()), of.normed);
    Matrix normed =
        back.queries()
            .times(copies.value(query))
            .addTimes(back.keys(), copies.value(key))
            .addTimes(back.values(), copies.value(value));
    return kept.x
        .rmsNormBackward(
            copies.value(attentionNorm), epsilon, normed, copies.gradient(attentionNorm))
        .add(middle);
  }
}
