package io.expertatlas.runtime.model;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.ExecutionPlan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Who sends which token to whom in one MoE layer: worked out on the host from the routers' choices.
 * Rows stand in order of the sending rank, then of the token.
 */
final class Dispatch {
  private final List<List<Visit>> visits = new ArrayList<>(); // [receiving rank]
  private final int[] meet; // [token]
  private final int[][] ranksOf; // [token][order of first choice]

  /** A token that is computed on a rank: where it was, and the choices that are made there. */
  record Visit(int token, int from, int fromRow, int[] experts, float[] weights) {}

  /** Where the choices of a step's tokens are computed and where their results meet. */
  Dispatch(ExecutionPlan plan, int layer, Step step, List<Resident> residents) {
    int tokens = step.tokens();
    int k = plan.shape().topK();
    this.meet = new int[tokens];
    this.ranksOf = new int[tokens][];
    for (int r = 0; r < plan.ranks(); r++) {
      visits.add(new ArrayList<>());
    }

    for (Resident resident : residents) {
      int[] rankOf = new int[k];
      int distinct = 0;
      int[] order = new int[k];
      for (int c = 0; c < k; c++) {
        rankOf[c] =
            plan.rank(
                layer,
                resident.experts()[c],
                resident.rank(),
                step.number(resident.token()),
                step.position(resident.token()));
        boolean known = false;
        for (int d = 0; d < distinct; d++) {
          known |= order[d] == rankOf[c];
        }

        if (!known) {
          order[distinct++] = rankOf[c];
        }
      }

      int[] visited = Arrays.copyOf(order, distinct);
      ranksOf[resident.token()] = visited;
      meet[resident.token()] = plan.mode() == ParallelMode.COHERENT ? rankOf[0] : resident.rank();
      for (int rank : visited) {
        int[] here = resident.experts().clone();
        for (int c = 0; c < k; c++) {
          here[c] = rankOf[c] == rank ? here[c] : -1;
        }

        visits
            .get(rank)
            .add(
                new Visit(
                    resident.token(), resident.rank(), resident.row(), here, resident.weights()));
      }
    }
  }

  /** A token on a rank, with what its router chose. */
  record Resident(int token, int rank, int row, int[] experts, float[] weights) {}

  /** The tokens that a rank computes experts for. */
  List<Visit> visits(int rank) {
    return visits.get(rank);
  }

  /** The rank where the results of a token meet: where it goes on. */
  int meet(int token) {
    return meet[token];
  }

  /** Which of the ranks that compute for a token a rank is, in order of the token's choices. */
  int orderOf(int token, int rank) {
    int order = 0;
    while (ranksOf[token][order] != rank) {
      order++;
    }

    return order;
  }

  /** Tokens of the step. */
  int tokens() {
    return meet.length;
  }
}
