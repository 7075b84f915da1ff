package io.expertatlas.placement.report;

import io.expertatlas.affinity.Transitions;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.TokenFlow;

/**
 * How many tokens go from GPU to GPU between adjacent MoE layers, following their first choices.
 * Immutable.
 */
final class ExpertFlow {
  private final int gaps;
  private final int gpus;
  private final boolean exact;
  private final long[] tokens; // [gap][from GPU][to GPU]

  private ExpertFlow(int gaps, int gpus, boolean exact, long[] tokens) {
    this.gaps = gaps;
    this.gpus = gpus;
    this.exact = exact;
    this.tokens = tokens;
  }

  /** The flow of counted tokens under a placement of the same shape, in whole tokens. */
  static ExpertFlow of(Transitions transitions, Placement placement) {
    TokenFlow flow = TokenFlow.of(transitions, placement);
    int gpus = flow.gpus();
    long[] tokens = new long[flow.gaps() * gpus * gpus];
    for (int at = 0; at < tokens.length; at++) {
      tokens[at] = Math.round(flow.tokens(at / gpus / gpus, at / gpus % gpus, at % gpus));
    }

    return new ExpertFlow(flow.gaps(), gpus, flow.isExact(), tokens);
  }

  /** Whether it is what a walk of every token gives, not an estimate from pairs of experts. */
  boolean isExact() {
    return exact;
  }

  int gaps() {
    return gaps;
  }

  int gpus() {
    return gpus;
  }

  /** Tokens whose expert of layer {@code gap} is on one GPU and of layer gap + 1 on another. */
  long tokens(int gap, int from, int to) {
    return tokens[(gap * gpus + from) * gpus + to];
  }

  /** The same over all gaps. */
  long tokens(int from, int to) {
    long sum = 0;
    for (int gap = 0; gap < gaps; gap++) {
      sum += tokens(gap, from, to);
    }

    return sum;
  }

  /** Share, 0 to 1, of the steps from layer to layer in which the token stays on its GPU. */
  double stayShare() {
    long stay = 0;
    long all = 0;
    for (int from = 0; from < gpus; from++) {
      for (int to = 0; to < gpus; to++) {
        long count = tokens(from, to);
        all += count;
        stay += from == to ? count : 0;
      }
    }

    return all == 0 ? 1 : (double) stay / all;
  }
}
