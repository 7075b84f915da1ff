package io.expertatlas.placement.cli;

import io.expertatlas.affinity.Transitions;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.search.Relabel;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.io.PrintWriter;
import java.util.Optional;

/** Counts first choices, and says when other names of GPUs would save hops for nothing. */
final class RelabelOffer {
  /** Savings below this share are not worth a line. */
  private static final double WORTHWHILE = 0.01;

  /** Pairs that are worth counting: 128 MiB. */
  private static final long MOST_PAIRS = 1 << 24;

  private final ModelShape shape;
  private final long[] pairs; // [gap][from][to]; none if there are too many

  RelabelOffer(ModelShape shape) {
    this.shape = shape;
    long all = (shape.layers() - 1L) * shape.experts() * shape.experts();
    this.pairs = new long[all <= MOST_PAIRS ? (int) all : 0];
  }

  /** Counts the tokens of a trace. */
  void add(RoutingTrace trace) {
    int experts = shape.experts();
    for (int token = 0; pairs.length > 0 && token < trace.tokens(); token++) {
      int before = trace.expert(token, 0, 0);
      for (int layer = 1; layer < shape.layers(); layer++) {
        int now = trace.expert(token, layer, 0);
        pairs[((layer - 1) * experts + before) * experts + now]++;
        before = now;
      }
    }
  }

  /** Prints a line if the counted tokens would hop clearly less. */
  void print(PrintWriter err, String label, Placement placement) {
    if (pairs.length > 0) {
      print(err, label, new Transitions(shape, pairs, new long[pairs.length]), placement);
    }
  }

  /** The same for transitions that are counted already. */
  static void print(PrintWriter err, String label, Transitions transitions, Placement placement) {
    Optional<Placement> other = Relabel.of(transitions, placement);
    if (other.isPresent()) {
      long before = hops(transitions, placement);
      long after = hops(transitions, other.get());
      if (after < before * (1 - WORTHWHILE)) {
        err.printf(
            "Other names of its GPUs would give %s %.1f %% fewer hops, with fan-out and load as they"
                + " are. Maybe run: atlas relabel%n",
            label, 100.0 * (before - after) / before);
      }
    }
  }

  private static long hops(Transitions transitions, Placement placement) {
    long hops = 0;
    for (int gap = 0; gap < transitions.gaps(); gap++) {
      for (int from = 0; from < placement.experts(); from++) {
        for (int to = 0; to < placement.experts(); to++) {
          hops +=
              transitions.firstChoices(gap, from, to)
                  * placement
                      .topology()
                      .hopCost(placement.gpu(gap, from), placement.gpu(gap + 1, to));
        }
      }
    }

    return hops;
  }
}
