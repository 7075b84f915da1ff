package io.expertatlas.affinity.arrow;

import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.ExpertSet;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.ModelShape;
import java.util.List;

/** The sums that counts of one trace must have. */
final class CountsCheck {
  private CountsCheck() {}

  /**
   * Checks them.
   *
   * @throws IllegalArgumentException if a sum is wrong
   */
  static void check(RouteCounts counts) {
    ModelShape shape = counts.shape();
    for (int layer = 0; layer < shape.layers(); layer++) {
      long choices = 0;
      long firsts = 0;
      for (int e = 0; e < shape.experts(); e++) {
        choices += counts.popularity().choices(layer, e);
        firsts += counts.popularity().firstChoices(layer, e);
        checkExpert(counts, layer, e);
      }

      require("choices", layer, choices, counts.tokens() * shape.topK());
      require("first-choices", layer, firsts, counts.tokens());
      List<ExpertSet> sets = counts.expertSets().get(layer);
      for (int i = 1; i < sets.size(); i++) {
        if (Lexicographic.compare(sets.get(i - 1).experts(), sets.get(i).experts()) == 0) {
          throw new AffinityFormatException(
              "Cannot read expert-sets.arrow: layer %d has the set %s twice"
                  .formatted(layer, sets.get(i).experts()));
        }
      }
    }
  }

  private static void checkExpert(RouteCounts counts, int layer, int expert) {
    ModelShape shape = counts.shape();
    long leaving = 0;
    long arriving = 0;
    long together = 0;
    for (int other = 0; other < shape.experts(); other++) {
      if (layer < shape.layers() - 1) {
        leaving += counts.transitions().firstChoices(layer, expert, other);
      }

      if (layer > 0) {
        arriving += counts.transitions().firstChoices(layer - 1, other, expert);
      }

      together += counts.coactivation().tokens(layer, expert, other);
    }

    long firsts = counts.popularity().firstChoices(layer, expert);
    String of = " of expert %d".formatted(expert);
    if (layer < shape.layers() - 1) {
      require("first-choices leaving" + of, layer, leaving, firsts);
    }

    if (layer > 0) {
      require("first-choices arriving" + of, layer, arriving, firsts);
    }

    long expected = counts.popularity().choices(layer, expert) * shape.topK();
    require("co-activations" + of, layer, together, expected);
  }

  private static void require(String what, int layer, long found, long expected) {
    if (found != expected) {
      throw new IllegalArgumentException(
          "the %s in layer %d sum to %d, expected %d".formatted(what, layer, found, expected));
    }
  }
}
