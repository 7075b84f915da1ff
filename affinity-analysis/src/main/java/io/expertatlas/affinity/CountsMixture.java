package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Sums of route counts, each a whole number of times: the routes of several traces together, of
 * some folds of one, or a mixture in which traces weigh differently. Exact. Stateless.
 */
public final class CountsMixture {
  private static final Comparator<ExpertSet> BY_EXPERTS =
      (one, other) -> {
        for (int i = 0; i < one.experts().size(); i++) {
          int order = Integer.compare(one.experts().get(i), other.experts().get(i));
          if (order != 0) {
            return order;
          }
        }

        return 0;
      };

  private CountsMixture() {}

  /**
   * The sum of counts.
   *
   * @throws IllegalArgumentException if there are none or they are not all of one shape
   */
  public static RouteCounts sum(List<RouteCounts> counts) {
    long[] once = new long[counts.size()];
    Arrays.fill(once, 1);
    return of(counts, once);
  }

  /**
   * The sum of counts, each times a factor.
   *
   * @param factors {@code [i]} not negative; counts with factor 0 are left out
   * @throws IllegalArgumentException if there are none, they are not all of one shape, or there is
   *     not one factor for each
   * @throws ArithmeticException if a sum does not fit in a long
   */
  public static RouteCounts of(List<RouteCounts> counts, long... factors) {
    if (counts.isEmpty() || counts.size() != factors.length) {
      throw new IllegalArgumentException(
          "Invalid mixture: %d factors of %d counts, at least one and as many"
              .formatted(factors.length, counts.size()));
    }

    ModelShape shape = counts.get(0).shape();
    int experts = shape.experts();
    long[] choices = new long[shape.totalExperts()];
    long[] firsts = new long[shape.totalExperts()];
    long[] together = new long[shape.totalExperts() * experts];
    long[] pairs = new long[(shape.layers() - 1) * experts * experts];
    long[] units = new long[pairs.length];
    List<List<ExpertSet>> sets = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      sets.add(List.of());
    }

    long tokens = 0;
    for (int i = 0; i < factors.length; i++) {
      RouteCounts part = counts.get(i);
      if (!part.shape().equals(shape) || factors[i] < 0) {
        throw new IllegalArgumentException(
            "Invalid mixture: counts of %s times %d, expected %s and at least 0"
                .formatted(part.shape(), factors[i], shape));
      }

      long factor = factors[i];
      if (factor == 0) {
        continue;
      }

      tokens = plus(tokens, factor, part.tokens());
      for (int id = 0; id < choices.length; id++) {
        int layer = id / experts;
        int expert = id % experts;
        choices[id] = plus(choices[id], factor, part.popularity().choices(layer, expert));
        firsts[id] = plus(firsts[id], factor, part.popularity().firstChoices(layer, expert));
        for (int other = 0; other < experts; other++) {
          int cell = id * experts + other;
          together[cell] =
              plus(together[cell], factor, part.coactivation().tokens(layer, expert, other));
          if (layer < shape.layers() - 1) {
            Transitions transitions = part.transitions();
            pairs[cell] = plus(pairs[cell], factor, transitions.firstChoices(layer, expert, other));
            units[cell] = plus(units[cell], factor, transitions.pairUnits(layer, expert, other));
          }
        }
      }

      for (int layer = 0; layer < shape.layers(); layer++) {
        sets.set(layer, merged(sets.get(layer), part.expertSets().get(layer), factor));
      }
    }

    return new RouteCounts(
        shape,
        tokens,
        new Popularity(shape, choices, firsts),
        new Transitions(shape, pairs, units),
        new Coactivation(shape, together),
        sets);
  }

  private static long plus(long sum, long factor, long count) {
    return Math.addExact(sum, Math.multiplyExact(factor, count));
  }

  /** Merges two ascending lists; the tokens of the second count {@code factor} times. */
  private static List<ExpertSet> merged(List<ExpertSet> sum, List<ExpertSet> more, long factor) {
    List<ExpertSet> merged = new ArrayList<>(sum.size() + more.size());
    int at = 0;
    for (ExpertSet set : more) {
      while (at < sum.size() && BY_EXPERTS.compare(sum.get(at), set) < 0) {
        merged.add(sum.get(at++));
      }

      boolean same = at < sum.size() && BY_EXPERTS.compare(sum.get(at), set) == 0;
      long before = same ? sum.get(at++).tokens() : 0;
      merged.add(new ExpertSet(set.experts(), plus(before, factor, set.tokens())));
    }

    merged.addAll(sum.subList(at, sum.size()));
    return merged;
  }
}
