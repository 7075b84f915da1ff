package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.MixtralConfig;
import java.util.ArrayList;
import java.util.List;

/** What one rank has: weights, caches, scratch. */
final class MixtralLane {
  final Rank rank;
  final MixtralWeights weights;
  final Buffer normed; // [T, H]
  final Buffer q; // [T, heads * D]
  final Buffer k; // [T, keyHeads * D]
  final Buffer v; // [T, keyHeads * D]
  final Buffer attended; // [T, heads * D]
  final Head head;
  final List<ContextExchange.Cache> caches = new ArrayList<>(); // [layer]

  MixtralLane(Rank rank, MixtralWeights weights, MixtralConfig config, int slots, Limits limits) {
    this.rank = rank;
    this.weights = weights;
    int rows = limits.rows();
    long queries = (long) config.heads() * config.headSize();
    long keys = (long) config.keyHeads() * config.headSize();
    normed = rank.activations("attention input", rows, config.hidden());
    q = rank.activations("queries", rows, queries);
    k = rank.activations("keys", rows, keys);
    v = rank.activations("values", rows, keys);
    attended = rank.activations("attention output", rows, queries);
    head = new Head(rank, config.hidden(), config.vocabulary(), limits.sequences());
    DType type = rank.device().activationType();
    for (int layer = 0; layer < config.layers(); layer++) {
      caches.add(
          new ContextExchange.Cache(
              rank.device().allocate("key cache", type, slots, limits.capacity(), keys),
              rank.device().allocate("value cache", type, slots, limits.capacity(), keys)));
    }
  }
}
