package io.expertatlas.placement.search;

import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;

/**
 * The best lower bound on a problem that some seconds of work prove.
 *
 * <p>{@link GapBound} is there at once. Where every GPU of a symmetric cluster holds equally many
 * experts, {@link GramBound} rises above it: for GPUs and, on several nodes, for nodes, which add
 * up. Fan-out is charged by {@link FanoutLines}, caps on load by {@link CapMultipliers}; caps on
 * totals are left out, so the bound holds with them too.
 *
 * @param value no placement within the slots and caps has a smaller objective
 * @param method how it was found, in a few words
 * @param seconds it took
 */
public record ProvenBound(long value, String method, double seconds) {
  private static final double SECONDS_PER_STEP = 4e-9; // times width cubed, of one projection
  private static final double WORTHWHILE = 2e-4; // growth in so many rounds that is worth more
  private static final int PATIENCE = 5; // rounds
  private static final double CAP_STEP = 2;

  /**
   * Raises the bound until it meets the objective reached, it hardly grows any more, or time is up.
   *
   * @param reached objective of a placement of the problem: no bound needs to be higher
   * @param limit on the time; zero for what is there at once
   * @param threads worker threads
   * @param isStopped whether to end as if time were up
   * @param progress receives each better bound
   */
  public static ProvenBound of(
      PlacementProblem problem,
      long reached,
      Duration limit,
      int threads,
      BooleanSupplier isStopped,
      LongConsumer progress) {
    return new Work(Chain.of(problem), reached, limit, isStopped, progress).done(threads);
  }

  private static final class Work {
    private final Chain chain;
    private final long reached;
    private final double limit; // seconds
    private final BooleanSupplier isStopped;
    private final LongConsumer progress;
    private final long startNanos = System.nanoTime();

    Work(
        Chain chain,
        long reached,
        Duration limit,
        BooleanSupplier isStopped,
        LongConsumer progress) {
      this.chain = chain;
      this.reached = reached;
      this.limit = limit.toNanos() / 1e9;
      this.isStopped = isStopped;
      this.progress = progress;
    }

    private double seconds() {
      return (System.nanoTime() - startNanos) / 1e9;
    }

    ProvenBound done(int threads) {
      long simple = GapBound.of(chain);
      String method = chain.prices().hop() > 0 ? "single gaps" : "each layer";
      boolean hasRelaxation = chain.prices().hop() > 0 || chain.prices().hasFanout();
      if (simple >= reached || limit <= 0 || !hasRelaxation || chain.prices().hottest() > 0) {
        return new ProvenBound(Math.min(simple, reached), method, seconds());
      }

      List<Level> levels = levels(threads);
      if (levels.isEmpty()) {
        return new ProvenBound(simple, method, seconds());
      }

      // what a level proves replaces what the simple bound says of it; both are sums of levels
      double[] best = levels.stream().mapToDouble(level -> level.simple).toArray();
      try (Workers workers = new Workers("bound", threads)) {
        for (int at = 0; at < best.length; at++) {
          run(levels.get(at), at, best, workers, limit * (at + 1) / best.length);
        }
      }

      long value = Math.min(reached, Math.max(simple, total(best)));
      return new ProvenBound(value, value > simple ? "semidefinite relaxation" : method, seconds());
    }

    private static long total(double[] best) {
      double sum = Arrays.stream(best).sum();
      return (long) Math.ceil(sum - 1e-9 * Math.abs(sum) - 1e-6);
    }

    private void run(Level level, int at, double[] best, Workers workers, double until) {
      if (!level.isWorthwhile) {
        return;
      }

      List<Double> history = new ArrayList<>();
      level.relaxation.run(
          workers,
          () -> seconds() > until || isStopped.getAsBoolean(),
          mostStays -> {
            double bound = level.bound(mostStays);
            if (bound > best[at]) {
              best[at] = bound;
              progress.accept(Math.min(reached, total(best)));
            }

            history.add(best[at]);
            level.adapt(history.size());
            int rounds = history.size() - 1;
            boolean grows =
                rounds < PATIENCE
                    || best[at] - history.get(rounds - PATIENCE) > WORTHWHILE * Math.abs(best[at]);
            return grows && total(best) < reached;
          });
    }

    /** The cuts into GPUs and into nodes, as far as they cost and the relaxation knows them. */
    private List<Level> levels(int threads) {
      Topology parts = chain.parts();
      if (!chain.isSymmetric() || !hasEqualSlots()) {
        return List.of();
      }

      List<Level> levels = new ArrayList<>();
      boolean pairs = chain.prices().hop() > 0;
      long near = pairs ? parts.costInNode() : chain.prices().gpuTouch();
      long far = pairs ? parts.costAcrossNodes() - parts.costInNode() : chain.prices().nodeTouch();
      if (near > 0 && parts.gpus() > 1) {
        levels.add(new Level(chain, 1, near, seconds(threads)));
      }

      if (far > 0 && parts.nodes() > 1) {
        levels.add(new Level(chain, parts.gpusPerNode(), far, seconds(threads)));
      }

      return levels;
    }

    private boolean hasEqualSlots() {
      int experts = chain.size(0);
      int each = experts / chain.parts().gpus();
      for (int layer = 0; layer < chain.layers(); layer++) {
        if (chain.least(layer, 0) != each
            || chain.most(layer, 0) != each
            || chain.size(layer) != experts) {
          return false;
        }
      }

      return true;
    }

    /** Whether some rounds fit into the time. */
    private boolean seconds(int threads) {
      double width = chain.size(0) * (chain.prices().hop() > 0 ? 2.0 : 1.0);
      double round =
          GramBound.STEPS * SECONDS_PER_STEP * width * width * width * chain.layers() / threads;
      return round < limit / 2;
    }
  }

  /** One cut of the experts into equal groups, and what crossing it costs. */
  private static final class Level {
    private final Chain chain;
    private final boolean pairs;
    private final double price;
    private final double all; // cost if nothing stays, or what the lines say
    private final double simple;
    private final boolean isWorthwhile;
    private final GramBound relaxation;
    private final FanoutLines[] lines; // [layer], none for pairs
    private final CapMultipliers caps;

    Level(Chain chain, int width, long price, boolean isWorthwhile) {
      int experts = chain.size(0);
      int layers = chain.layers();
      int room = experts / chain.parts().gpus() * width;
      this.chain = chain;
      this.pairs = chain.prices().hop() > 0;
      this.price = price;
      this.isWorthwhile = isWorthwhile && room > 1;
      double[][] weights = new double[pairs ? layers - 1 : 0][experts * experts];
      double sum = 0;
      for (int gap = 0; gap < weights.length; gap++) {
        for (int i = 0; i < weights[gap].length; i++) {
          weights[gap][i] = chain.weight(gap, i / experts, i % experts);
          sum += weights[gap][i];
        }
      }

      this.all = sum;
      this.relaxation =
          new GramBound(
              experts,
              chain.parts().gpus() / width,
              weights,
              new double[layers][experts * experts]);
      this.lines = new FanoutLines[pairs ? 0 : layers];
      double touches = 0;
      for (int layer = 0; layer < lines.length; layer++) {
        lines[layer] = new FanoutLines(chain.sets(layer), room);
        lines[layer].addTo(relaxation, layer, 1);
        touches += lines[layer].least();
      }

      this.simple = price * (pairs ? GapBound.ofGroups(chain, width) : touches);
      this.caps = new CapMultipliers(chain, width, (sum + touches) / (layers * (double) experts));
    }

    double bound(double mostStays) {
      double without = all;
      for (FanoutLines line : lines) {
        without += line.base();
      }

      return price * (without - mostStays - caps.room());
    }

    /** Moves lines and multipliers to where the relaxation is now. */
    void adapt(int round) {
      if (round == 1) {
        return; // it stands where it began
      }

      double share = Math.max(0.05, 1.0 / round);
      for (int layer = 0; layer < lines.length; layer++) {
        lines[layer].addTo(relaxation, layer, -1);
        lines[layer].follow(relaxation, layer, share);
        lines[layer].addTo(relaxation, layer, 1);
      }

      if (chain.hasCaps()) {
        caps.addTo(relaxation, -1);
        caps.follow(relaxation, CAP_STEP / Math.sqrt(round));
        caps.addTo(relaxation, 1);
      }
    }
  }
}
