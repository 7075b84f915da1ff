package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.Tensor;
import java.util.List;
import java.util.stream.IntStream;

/** The end of the model: last norm and logits, of the rows whose logits are wanted. */
final class Head {
  private final Rank rank;
  private final Buffer index; // I32 [S]
  private final Buffer last; // F32 [S, H]
  private final Buffer normed; // [S, H]
  private final Buffer logits; // F32 [S, V]

  Head(Rank rank, int hidden, int vocabulary, int sequences) {
    this.rank = rank;
    this.index = new Buffer(rank.device(), "last rows", DType.I32, sequences);
    this.last = new Buffer(rank.device(), "last hidden states", DType.F32, sequences, hidden);
    this.normed = rank.activations("normed hidden states", sequences, hidden);
    this.logits = new Buffer(rank.device(), "logits", DType.F32, sequences, vocabulary);
  }

  /** The logits of hidden states that are normed already, {@code [S, H]}: F32 {@code [S, V]}. */
  Tensor logits(Tensor states, Tensor weight) {
    Tensor out = logits.rows((int) states.size(0));
    rank.device().linear(states, weight, out);
    return out;
  }

  /** Adds the logits of the rank's tokens to a list; none wanted, none added. */
  void logits(Step step, MoeWeights.Norm norm, Tensor weight, List<Logits> into) {
    int[] tokens = rank.tokens();
    int[] rows =
        IntStream.range(0, tokens.length).filter(row -> step.isLast(tokens[row])).toArray();
    if (rows.length == 0) {
      return;
    }

    Device device = rank.device();
    Tensor at = index.rows(rows.length);
    Tensor out = logits.rows(rows.length);
    device.mark("logits");
    device.write(at, rows);
    device.gatherRows(rank.hidden(), at, last.rows(rows.length));
    norm.apply(device, last.rows(rows.length), normed.rows(rows.length));
    device.linear(normed.rows(rows.length), weight, out);
    device.mark("");
    into.add(
        new Logits(
            device, out, IntStream.of(rows).map(row -> step.sequence(tokens[row])).toArray()));
  }
}
