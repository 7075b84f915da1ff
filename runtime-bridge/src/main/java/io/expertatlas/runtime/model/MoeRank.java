package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.trace.ModelShape;

/** The scratch of a rank's MoE layers: one set for all layers of a stack. */
final class MoeRank {
  private final Rank rank;
  private final int k;
  private final int layers;
  private final Buffer normed; // [T, H]
  private final Buffer logits; // F32 [T, E]
  private final Buffer chosen; // I32 [layer * T, k], of all layers, to be read at once
  private final Buffer weights; // F32 [layer * T, k]
  private final Buffer order; // I32 [T * k]
  private final Buffer place; // I32 [T, k]
  private final Buffer offsets; // I32 [E + 1]
  private final Buffer inner; // [T * k, F or 2 F]
  private final Buffer results; // [T * k, H]
  private final Buffer combined; // [T, H]

  MoeRank(Rank rank, ModelShape shape, int hidden, long inner, int rows) {
    this.rank = rank;
    this.k = shape.topK();
    this.layers = shape.layers();
    Device device = rank.device();
    this.normed = rank.activations("MoE input", rows, hidden);
    this.logits = new Buffer(device, "router logits", DType.F32, rows, shape.experts());
    this.chosen = new Buffer(device, "chosen experts", DType.I32, (long) layers * rows, k);
    this.weights = new Buffer(device, "router weights", DType.F32, (long) layers * rows, k);
    this.order = new Buffer(device, "order of choices", DType.I32, (long) rows * k);
    this.place = new Buffer(device, "places of choices", DType.I32, rows, k);
    this.offsets = new Buffer(device, "offsets of experts", DType.I32, shape.experts() + 1);
    this.inner = rank.activations("expert inner states", (long) rows * k, inner);
    this.results = rank.activations("expert results", (long) rows * k, hidden);
    this.combined = rank.activations("weighted sums", rows, hidden);
  }

  Rank rank() {
    return rank;
  }

  /** The choices of the rank's tokens in a layer, {@code [T, k]}. */
  Tensor chosen(int layer) {
    return rank.device().rows(chosen.whole(), (long) layer * rank.rows(), rank.rows());
  }

  /** The weights of these choices, {@code [T, k]}. */
  Tensor weights(int layer) {
    return rank.device().rows(weights.whole(), (long) layer * rank.rows(), rank.rows());
  }

  /** Normalises the hidden states, {@code [T, H]}, and asks the router. */
  Tensor route(int layer, MoeWeights moe, boolean renormalize) {
    int rows = rank.rows();
    moe.norm().apply(rank.device(), rank.hidden(), normed.rows(rows));
    moe.router().logits(rank.device(), normed.rows(rows), logits.rows(rows));
    rank.device().route(logits.rows(rows), renormalize, chosen(layer), weights(layer));
    return normed.rows(rows);
  }

  /** Normalises hidden states that came from elsewhere. */
  Tensor norm(MoeWeights moe, Tensor hidden) {
    Tensor out = normed.rows((int) hidden.size(0));
    moe.norm().apply(rank.device(), hidden, out);
    return out;
  }

  /** Sum of weight * expert(input) over the choices that are computed here, {@code [T, H]}. */
  Tensor experts(MoeWeights moe, Tensor input, Tensor choices, Tensor factors) {
    int rows = (int) input.size(0);
    ExpertGroups groups =
        new ExpertGroups(
            order.rows(rows * k), place.rows(rows), offsets.rows(moe.experts().experts() + 1));
    Device device = rank.device();
    device.groupByExpert(choices, moe.local(), groups);
    device.experts(moe.experts(), groups, input, inner.rows(rows * k), results.rows(rows * k));
    device.combine(results.rows(rows * k), groups, factors, combined.rows(rows));
    return combined.rows(rows);
  }

  /** Copies the choices of all layers to the host at once. */
  void log(Routes routes) {
    int[] tokens = rank.tokens();
    int[] ids = rank.device().read(chosen.rows(layers * tokens.length));
    float[] factors = rank.device().readFloats(weights.rows(layers * tokens.length));
    for (int layer = 0; layer < layers; layer++) {
      for (int t = 0; t < tokens.length; t++) {
        for (int r = 0; r < k; r++) {
          int at = (layer * tokens.length + t) * k + r;
          routes.set(tokens[t], layer, r, ids[at], factors[at]);
        }
      }
    }
  }
}
