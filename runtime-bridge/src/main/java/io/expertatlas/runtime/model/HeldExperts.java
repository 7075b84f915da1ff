package io.expertatlas.runtime.model;

import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Tensor;
import java.util.List;
import java.util.stream.Stream;

/** The experts of a layer that live on a rank. */
sealed interface HeldExperts {
  /**
   * All are on the device.
   *
   * @param local I32 {@code [E]}: index of an expert among those here, -1 if it is elsewhere
   * @param weights those here
   */
  record Resident(Tensor local, ExpertWeights weights) implements HeldExperts {}

  /** What loading the experts of some layers of a rank cost so far. */
  static Offload.Use use(List<MoeWeights> layers) {
    return caches(layers).map(ExpertCache::use).reduce(Offload.Use.NONE, Offload.Use::plus);
  }

  /** The caches of some layers of a rank. */
  static Stream<ExpertCache> caches(List<MoeWeights> layers) {
    return layers.stream()
        .filter(layer -> layer.experts() instanceof Offloaded)
        .map(layer -> ((Offloaded) layer.experts()).cache())
        .distinct();
  }

  /** They are on the host, and come to the slots of a cache when they are needed. */
  record Offloaded(ExpertCache cache, int layer) implements HeldExperts {}
}
