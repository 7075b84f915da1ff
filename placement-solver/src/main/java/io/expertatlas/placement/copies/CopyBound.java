package io.expertatlas.placement.copies;

import io.expertatlas.affinity.ExpertSet;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Topology;
import java.util.Arrays;

/**
 * Lower bounds on objectives with copies. Only pairs of experts that share a GPU can stay on it,
 * and GPUs with s slots of each layer hold at most {@code s * s} pairs of a gap each: whatever the
 * heaviest pairs of that number do not hold has to hop. The same for nodes. A set of k experts
 * touches at least {@code k / s} GPUs.
 */
final class CopyBound {
  private CopyBound() {}

  /** The bound on a total; {@code load} is the bound on the sum of the hottest GPUs' loads. */
  static long of(CopyProblem problem, long load) {
    Topology topology = problem.problem().topology();
    Objective objective = problem.problem().objective();
    boolean nodes = topology.nodes() > 1;
    return switch (objective) {
      case LOAD -> load;
      case CROSSINGS -> apart(problem, topology.gpus(), problem.slotsPerGpu());
      case HOPS ->
          topology.lowestCost() * apart(problem, topology.gpus(), problem.slotsPerGpu())
              + (nodes
                  ? Math.max(0, topology.lowestCostAcross() - topology.lowestCost())
                      * apart(problem, topology.nodes(), perNode(problem))
                  : 0);
      case COPIES ->
          apart(problem, topology.gpus(), problem.slotsPerGpu())
              + 2 * touches(problem, problem.slotsPerGpu());
      case FANOUT ->
          touches(problem, problem.slotsPerGpu())
              + (nodes ? touches(problem, perNode(problem)) : 0);
    };
  }

  private static int perNode(CopyProblem problem) {
    Topology topology = problem.problem().topology();
    int most = 0;
    for (int node = 0; node < topology.nodes(); node++) {
      most = Math.max(most, topology.gpusOf(node));
    }

    return problem.slotsPerGpu() * most;
  }

  /** Tokens that change their group in some gap, at least. */
  private static long apart(CopyProblem problem, int groups, int slots) {
    if (groups == 1) {
      return 0;
    }

    Transitions transitions = problem.problem().counts().transitions();
    int experts = problem.problem().shape().experts();
    long most = Math.min((long) experts * experts, (long) groups * slots * slots);
    long apart = 0;
    for (int gap = 0; gap < transitions.gaps(); gap++) {
      long[] weights = new long[experts * experts];
      for (int pair = 0; pair < weights.length; pair++) {
        weights[pair] = transitions.firstChoices(gap, pair / experts, pair % experts);
      }

      Arrays.sort(weights);
      for (int i = 0; i < weights.length - most; i++) {
        apart += weights[i];
      }
    }

    return apart;
  }

  private static long touches(CopyProblem problem, int slots) {
    long touches = 0;
    for (Iterable<ExpertSet> layer : problem.problem().counts().expertSets()) {
      for (ExpertSet set : layer) {
        touches += set.tokens() * LoadBound.ceil(set.experts().size(), slots);
      }
    }

    return touches;
  }
}
