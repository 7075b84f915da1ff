package io.expertatlas.placement.copies;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.search.Eplb;
import io.expertatlas.placement.solver.SolverRun;
import java.util.Arrays;
import java.util.List;
import java.util.ServiceLoader;
import java.util.SplittableRandom;

/**
 * Packings of layers for load alone: those of the load balancer's greedy, and cooler ones annealed
 * from them, small layers proven by an {@link ExactPacking}; with a bound for each layer. Not safe
 * for several threads.
 */
final class LoadPackings {
  private static final List<ExactPacking> EXACT =
      ServiceLoader.load(ExactPacking.class).stream().map(ServiceLoader.Provider::get).toList();

  private static final int STARTS = 3;
  private static final double NEAR = 5e-4; // of a load: closer is as good

  private final CopyProblem problem;
  private final SolverRun run;
  private final int groups;
  private final SplittableRandom random;
  private final int gpus;
  private final long[] bounds; // [layer], on the hottest GPU
  private int layersProven;

  /**
   * Packings of a problem.
   *
   * @param groups groups of experts that the router picks from; 1 if it has none
   */
  LoadPackings(CopyProblem problem, SolverRun run, int groups, SplittableRandom random) {
    this.problem = problem;
    this.run = run;
    this.groups = groups;
    this.random = random;
    this.gpus = problem.problem().topology().gpus();
    this.bounds = new long[problem.problem().shape().layers()];
    for (int layer = 0; layer < bounds.length; layer++) {
      bounds[layer] = LoadBound.of(problem.choices(layer), gpus, problem.slots());
    }
  }

  /** Number of layers. */
  int layers() {
    return bounds.length;
  }

  /** The least choices on the hottest GPU of a layer, as far as that is proven. */
  long bound(int layer) {
    return bounds[layer];
  }

  /** The sum of the bounds of all layers. */
  long bound() {
    return Arrays.stream(bounds).sum();
  }

  /** Layers of {@link #least} that are proven to have the least load. */
  int layersProven() {
    return layersProven;
  }

  /** Whether the greedy deals groups to several nodes first. */
  boolean isByNodes() {
    return balancer().isHierarchical() && problem.problem().topology().nodes() > 1;
  }

  /** What the load balancer's greedy deals. */
  Packing[] greedy() {
    return packings(balancer());
  }

  /** The balancer; it sees no nodes if they are unequal. */
  private Eplb balancer() {
    Topology topology = problem.problem().topology();
    return balancer(groups, topology.hasEqualNodes() ? topology.nodes() : 1);
  }

  private Eplb balancer(int ofGroups, int ofNodes) {
    return new Eplb(problem.slots(), ofGroups, ofNodes, gpus);
  }

  private Packing[] packings(Eplb balancer) {
    Packing[] packings = new Packing[bounds.length];
    for (int layer = 0; layer < packings.length; layer++) {
      long[] choices = problem.choices(layer);
      packings[layer] = new Packing(choices, gpus, balancer.physicalToLogical(choices));
    }

    return packings;
  }

  /** The packings with the least load, in every layer at most the greedy's. */
  Packing[] least() {
    Packing[] best = packings(balancer(1, 1));
    Eplb grouped = balancer();
    Packing[] other = grouped.isHierarchical() ? packings(grouped) : best;
    int proven = 0;
    long total = 0;
    for (int layer = 0; layer < best.length; layer++) {
      best[layer] = cooler(best[layer], other[layer]);
      best[layer] = cooler(best[layer], cooled(best[layer], layer));
      prove(best[layer], layer);
      total += best[layer].exactHottest();
      proven += best[layer].exactHottest() == bounds[layer] ? 1 : 0;
      run.report("load of layer " + layer, total, Arrays.stream(bounds, 0, layer + 1).sum());
    }

    layersProven = proven;
    return best;
  }

  /**
   * The coolest of a few anneals. Other experts get copies only if that pays: the greedy's choice,
   * the hottest, saves the most hops and touches too.
   */
  private Packing cooled(Packing start, int layer) {
    double enough = bounds[layer] * (1 + NEAR);
    Packing best = start;
    for (int i = 0; i < 2 * STARTS && best.hottest() > enough; i++) {
      Packing annealed = new Packing(start.choices(), gpus, start.toArray());
      boolean isFree = i >= STARTS && problem.redundant() > 0;
      LoadSearch.improve(annealed, bounds[layer], isFree, random.split());
      if (annealed.hottest() < best.hottest() * (isFree ? 1 - NEAR : 1)) {
        best = annealed;
      }
    }

    return best;
  }

  private static Packing cooler(Packing one, Packing other) {
    return other.exactHottest() < one.exactHottest() ? other : one;
  }

  private void prove(Packing packing, int layer) {
    int experts = packing.experts();
    for (ExactPacking exact : EXACT) {
      if (packing.exactHottest() > bounds[layer]
          && exact.isSmall(experts, gpus, problem.slots())
          && !run.isTimeUp()) {
        ExactPacking.Result result =
            exact.solve(
                packing.choices(),
                gpus,
                packing.toArray(),
                run.secondsLeft() / (4 * (bounds.length - layer)),
                run.config().seed());
        bounds[layer] = Math.max(bounds[layer], result.bound());
        Packing found = new Packing(packing.choices(), gpus, result.expertOf());
        if (found.exactHottest() < packing.exactHottest()) {
          packing.become(result.expertOf());
        }
      }
    }
  }
}
