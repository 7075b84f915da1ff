package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.Caps;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MovingSearchTest {
  /** Every balanced way to put four experts on some parts. */
  private static List<int[]> layers(int parts) {
    List<int[]> all = new ArrayList<>();
    for (int code = 0; code < parts * parts * parts * parts; code++) {
      int[] layer = new int[4];
      int[] held = new int[parts];
      for (int i = 0, rest = code; i < 4; i++, rest /= parts) {
        layer[i] = rest % parts;
        held[layer[i]]++;
      }

      if (Arrays.stream(held).allMatch(h -> h == 4 / parts)) {
        all.add(layer);
      }
    }

    return all;
  }

  private static long least(MovingSearch search, Chain chain, int parts) {
    long least = Long.MAX_VALUE;
    for (int[] first : layers(parts)) {
      for (int[] second : layers(parts)) {
        for (int[] third : layers(parts)) {
          int[][] map = {first, second, third};
          least = chain.isMetBy(map) ? Math.min(least, search.value(map)) : least;
        }
      }
    }

    return least;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void smallCasesAreSolvedAsByBruteForce(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int nodes = 1 + random.nextInt(2);
    PlacementProblem problem = Routes.problem(Routes.random(3, 4, 1, 60, seed), nodes, 2);
    if (seed % 3 == 0) {
      problem = problem.withCaps(Caps.NONE.withLoad(45, 45, 45));
    }

    Chain chain = Chain.of(problem);
    int[][] present = Starts.random(chain, random);
    if (!chain.isMetBy(present)) {
      return; // drawn above the cap, which a present placement may be; then there is no twin
    }

    long price = random.nextInt(30);
    MovingSearch search = new MovingSearch(chain, present, price);
    int[][] wanted = Starts.random(chain, random);

    int[][] found = search.run(wanted, seed, () -> false);

    long least = least(search, chain, 2 * nodes);
    assertThat(search.value(found)).isEqualTo(chain.cost(found) + price * search.moved(found));
    assertThat(chain.isMetBy(found)).isTrue();
    if (chain.hasCaps()) { // swaps within caps may not lead everywhere
      assertThat(search.value(found)).isBetween(least, search.value(present));
    } else {
      assertThat(search.value(found)).isEqualTo(least);
    }

    assertThat(search.run(wanted, seed, () -> false)).isDeepEqualTo(found);
  }

  @Test
  void freeMovesReachTheWantedMapAndDearOnesStay() {
    PlacementProblem problem = Routes.problem(Routes.random(4, 16, 2, 900, 5), 2, 2);
    Chain chain = Chain.of(problem);
    SplittableRandom random = new SplittableRandom(1);
    int[][] present = Starts.random(chain, random);
    int[][] wanted = Starts.random(chain, random);

    assertThat(new MovingSearch(chain, present, 1 << 20).run(wanted, 1, () -> false))
        .isDeepEqualTo(present);
    int[][] free = new MovingSearch(chain, present, 0).run(wanted, 1, () -> false);
    assertThat(chain.cost(free)).isLessThan(Math.min(chain.cost(present), chain.cost(wanted)));
    assertThat(new MovingSearch(chain, present, 3).run(wanted, 1, () -> true))
        .as("without time, the better of the starts, or what descent made of it")
        .satisfies(
            map ->
                assertThat(new MovingSearch(chain, present, 3).value(map))
                    .isLessThanOrEqualTo(new MovingSearch(chain, present, 3).value(present)));
  }

  @Test
  void partsAreRenamedSoThatMostExpertsStay() {
    PlacementProblem problem = Routes.problem(Routes.random(3, 8, 1, 90, 2), 2, 2);
    Chain chain = Chain.of(problem);
    int[][] present = Starts.random(chain, new SplittableRandom(4));
    int[] names = {3, 2, 0, 1}; // nodes exchanged, GPUs of the first exchanged
    int[][] wanted = new int[3][8];
    for (int layer = 0; layer < 3; layer++) {
      for (int i = 0; i < 8; i++) {
        wanted[layer][i] = names[present[layer][i]];
      }
    }

    MovingSearch search = new MovingSearch(chain, present, 1);

    assertThat(search.renamed(wanted)).isDeepEqualTo(present);
  }
}
