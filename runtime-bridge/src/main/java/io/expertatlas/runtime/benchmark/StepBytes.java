package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.model.Routes;
import io.expertatlas.runtime.model.RunObserver;
import io.expertatlas.trace.Phase;

/**
 * Bytes that decode steps cannot do without: each weight of attention, routers, head and of the
 * experts that some token of the step chose, once; keys and values up to each token.
 */
public final class StepBytes implements RunObserver {
  private final MixtralConfig config;
  private final int weightBytes;
  private final int cacheBytes;
  private long steps;
  private long experts;
  private long entries;

  /**
   * Counts from now on.
   *
   * @param weightBytes bytes of a weight
   * @param cacheBytes bytes of a key's or value's number
   */
  public StepBytes(MixtralConfig config, int weightBytes, int cacheBytes) {
    this.config = config;
    this.weightBytes = weightBytes;
    this.cacheBytes = cacheBytes;
  }

  @Override
  public void routed(Routes routes) {
    if (routes.step().phase() != Phase.DECODE) {
      return;
    }

    steps++;
    int width = routes.shape().choicesPerToken();
    short[] chosen = routes.experts();
    boolean[] used = new boolean[config.layers() * config.experts()];
    for (int i = 0; i < chosen.length; i++) {
      int layer = i % width / config.topK();
      int at = layer * config.experts() + (chosen[i] & 0xffff);
      experts += used[at] ? 0 : 1;
      used[at] = true;
    }

    for (int t = 0; t < routes.step().tokens(); t++) {
      entries += routes.step().position(t) + 1L;
    }
  }

  void reset() {
    steps = 0;
    experts = 0;
    entries = 0;
  }

  /** Mean bytes of a step; 0 if there was none. */
  double perStep() {
    if (steps == 0) {
      return 0;
    }

    long hidden = config.hidden();
    long queries = (long) config.heads() * config.headSize();
    long keys = (long) config.keyHeads() * config.headSize();
    long layer = hidden * (2 * queries + 2 * keys) * weightBytes;
    long exact = (hidden * (config.experts() + 2L)) * Float.BYTES; // router and norms
    long dense = config.layers() * (layer + exact) + hidden * config.vocabulary() * weightBytes;
    double expert = 3.0 * hidden * config.inner() * weightBytes;
    double cache = 2.0 * keys * config.layers() * cacheBytes;
    return dense + (double) experts / steps * expert + (double) entries / steps * cache;
  }
}
