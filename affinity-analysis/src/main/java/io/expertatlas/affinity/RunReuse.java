package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.function.IntFunction;

/**
 * Measures a complete run: stack distances of all cache sizes at once.
 *
 * <p>Both policies are stack algorithms (Mattson, Gecsei, Slutz, Traiger 1970): a cache of C
 * entries holds the first C experts of one list, so a choice is a hit if its expert stands among
 * the first C, for every C. LRU keeps the list in order of last use. The clairvoyant list moves the
 * chosen expert to the front; what it displaced sinks, and at each place the one of two whose next
 * use is sooner stays. A choice costs as many steps as its distance, at most E.
 */
final class RunReuse {
  private static final int NEVER = Integer.MAX_VALUE;

  private final ModelShape shape;
  private final char[] recent; // experts by last use
  private final char[] soonest; // the clairvoyant list
  private final int[] nextUse; // [expert] choice number of the next use
  private final int[] lastToken; // [expert]
  private int[] nextOf = {}; // [choice] number of the next choice of the same expert

  RunReuse(ModelShape shape) {
    this.shape = shape;
    recent = new char[shape.experts()];
    soonest = new char[shape.experts()];
    nextUse = new int[shape.experts()];
    lastToken = new int[shape.experts()];
  }

  void measure(TokenRun run, IntFunction<LocalitySums> sums) {
    for (int t = 0; t < run.tokens; t++) {
      LocalitySums own = sums.apply(run.group(t));
      own.totals[0]++;
      own.totals[t == 0 ? 1 : 2]++;
    }

    for (int layer = 0; layer < shape.layers(); layer++) {
      measure(run, layer, sums);
    }
  }

  private void measure(TokenRun run, int layer, IntFunction<LocalitySums> sums) {
    lookAhead(run, layer);
    Arrays.fill(lastToken, -1);
    int k = shape.topK();
    int row = layer * shape.experts();
    int used = 0; // experts of the run so far
    for (int t = 0; t < run.tokens; t++) {
      LocalitySums own = sums.apply(run.group(t));
      int shared = 0;
      for (int rank = 0; rank < k; rank++) {
        int expert = run.expert(t, layer * k + rank);
        int before = lastToken[expert];
        if (before < 0) {
          own.firstUses[layer]++;
          recent[used] = (char) expert; // joins the lists at their end
          soonest[used++] = (char) expert;
          toFront(recent, expert);
          sink(expert, nextOf[t * k + rank]);
        } else {
          shared += before == t - 1 ? 1 : 0;
          int bin = 31 - Integer.numberOfLeadingZeros(t - before);
          own.gaps[layer * Locality.GAP_BINS + bin]++;
          own.lru[row + toFront(recent, expert) - 1]++;
          own.optimal[row + sink(expert, nextOf[t * k + rank]) - 1]++;
        }

        lastToken[expert] = t;
      }

      if (t > 0) {
        own.kept[layer * (k + 1) + shared]++;
      }
    }
  }

  private void lookAhead(TokenRun run, int layer) {
    int k = shape.topK();
    if (nextOf.length < run.tokens * k) {
      nextOf = new int[run.tokens * k];
    }

    Arrays.fill(nextUse, NEVER);
    for (int t = run.tokens - 1; t >= 0; t--) {
      for (int rank = k - 1; rank >= 0; rank--) {
        int expert = run.expert(t, layer * k + rank);
        nextOf[t * k + rank] = nextUse[expert];
        nextUse[expert] = t * k + rank;
      }
    }
  }

  /**
   * Moves an expert of the list to its front.
   *
   * @return its place before, from 1
   */
  private static int toFront(char[] list, int expert) {
    char carried = (char) expert;
    for (int i = 0; ; i++) {
      char here = list[i];
      list[i] = carried;
      if (here == expert) {
        return i + 1;
      }

      carried = here;
    }
  }

  /** The same in the clairvoyant list. */
  private int sink(int expert, int next) {
    char carried = soonest[0];
    soonest[0] = (char) expert;
    nextUse[expert] = next;
    if (carried == expert) {
      return 1;
    }

    for (int i = 1; ; i++) {
      char here = soonest[i];
      if (here == expert) {
        soonest[i] = carried;
        return i + 1;
      }

      if (nextUse[carried] < nextUse[here]) {
        soonest[i] = carried;
        carried = here;
      }
    }
  }
}
