package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** The slow, obvious twin of {@link Locality}: one simulated cache for each size and policy. */
public final class ObviousLocality {
  private final ModelShape shape;
  private final RoutingTrace trace;
  private final List<List<Integer>> runs = new ArrayList<>(); // token indices

  /** Cuts a trace that begins at token {@code from} of a larger one; unkept tokens end runs. */
  public ObviousLocality(RoutingTrace trace, long from, java.util.function.IntPredicate kept) {
    this.trace = trace;
    shape = trace.shape();
    for (int t = 0; t < trace.tokens(); t++) {
      if (!kept.test(trace.sequence(t))) {
        continue;
      }

      boolean goesOn =
          t > 0
              && kept.test(trace.sequence(t - 1))
              && trace.sequence(t - 1) == trace.sequence(t)
              && (from + t) / Locality.RUN_TOKENS == (from + t - 1) / Locality.RUN_TOKENS;
      if (!goesOn) {
        runs.add(new ArrayList<>());
      }

      runs.get(runs.size() - 1).add(t);
    }
  }

  /** Number of runs. */
  public int runs() {
    return runs.size();
  }

  /** The choices of a layer in a run, in their order. */
  private List<Integer> choices(List<Integer> run, int layer) {
    List<Integer> choices = new ArrayList<>();
    for (int t : run) {
      for (int rank = 0; rank < shape.topK(); rank++) {
        choices.add(trace.expert(t, layer, rank));
      }
    }

    return choices;
  }

  /** Hits of a cache that is simulated. */
  public long hits(CachePolicy policy, int layer, int capacity) {
    long hits = 0;
    for (List<Integer> run : runs) {
      List<Integer> choices = choices(run, layer);
      LinkedHashSet<Integer> cache = new LinkedHashSet<>(); // least recently used first
      for (int i = 0; i < choices.size(); i++) {
        int expert = choices.get(i);
        if (cache.remove(expert)) {
          hits++;
        } else if (cache.size() == capacity && capacity > 0) {
          cache.remove(
              policy == CachePolicy.LRU
                  ? cache.iterator().next()
                  : farthest(cache, choices.subList(i + 1, choices.size())));
        }

        if (capacity > 0) {
          cache.add(expert);
        }
      }
    }

    return hits;
  }

  private static int farthest(Set<Integer> cache, List<Integer> future) {
    int worst = -1;
    int worstNext = -1;
    for (int expert : cache) {
      int next = future.indexOf(expert) < 0 ? Integer.MAX_VALUE : future.indexOf(expert);
      if (next > worstNext) {
        worst = expert;
        worstNext = next;
      }
    }

    return worst;
  }

  /** Choices whose expert is new to its run. */
  public long firstUses(int layer) {
    long distinct = 0;
    for (List<Integer> run : runs) {
      distinct += new HashSet<>(choices(run, layer)).size();
    }

    return distinct;
  }

  /** Tokens that share so many experts with the token before. */
  public long kept(int layer, int shared) {
    long tokens = 0;
    for (List<Integer> run : runs) {
      for (int i = 1; i < run.size(); i++) {
        Set<Integer> both = new HashSet<>(choices(run.subList(i, i + 1), layer));
        both.retainAll(choices(run.subList(i - 1, i), layer));
        tokens += both.size() == shared ? 1 : 0;
      }
    }

    return tokens;
  }

  /** Choices last used {@code 2^bin} to {@code 2^(bin+1) - 1} tokens before. */
  public long reuses(int layer, int bin) {
    long reuses = 0;
    for (List<Integer> run : runs) {
      for (int i = 0; i < run.size(); i++) {
        for (int expert : choices(run.subList(i, i + 1), layer)) {
          int back = 1;
          while (i - back >= 0
              && !choices(run.subList(i - back, i - back + 1), layer).contains(expert)) {
            back++;
          }

          reuses += i - back >= 0 && back >= 1 << bin && back < 2 << bin ? 1 : 0;
        }
      }
    }

    return reuses;
  }
}
